"""Learning when to think from a pair's own outcomes: pure parts. Serving code never imports them; no network I/O."""
