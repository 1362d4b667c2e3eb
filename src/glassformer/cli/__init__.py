"""The command line: it reads options, calls the library, prints what it yields, and computes nothing."""
