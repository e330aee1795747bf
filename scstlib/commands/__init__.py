"""The console command ``scstlib``: each module parses one command and calls the package."""
