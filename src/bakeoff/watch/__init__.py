"""A live page of a study that runs, has run, or will: served on this machine alone, without disturbing who writes it."""
