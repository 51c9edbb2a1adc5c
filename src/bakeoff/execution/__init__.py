"""Where runs run: worker processes on this machine, and what they say to their driver."""
