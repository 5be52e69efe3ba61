"""Looking at scans and results: pictures that need no display."""
