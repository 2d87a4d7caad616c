"""Learning when to think: the I/O. Labels from backends, files of judges, promotion. Serving code never imports it."""
