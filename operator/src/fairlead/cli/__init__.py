"""The command line: `fairlead`, or `kubectl fairlead`."""
