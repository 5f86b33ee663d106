// Nothing to be called: the target takes the place of data when a program is linked.
