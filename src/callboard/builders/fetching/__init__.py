"""Sources that are not in the version itself: archives to download and repositories to clone. For every builder."""
