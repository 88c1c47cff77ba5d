"""Sound data: recordings fetched from Debian packages, cut into labelled clips."""
