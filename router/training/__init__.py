"""Train, calibrate and evaluate the linear judge (extra `train`). Serving code never imports this package."""
