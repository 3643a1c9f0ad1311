"""The demo: a story for each lab, told with real daemons."""
