#!/bin/sh
# Stands for what makes users or changes owners: every step and the Actor run as one user, who owns all files.
exit 0
