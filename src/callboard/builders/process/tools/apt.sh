#!/bin/sh
# The packages of this machine stay as they are; what a step asks for comes beside them.
tool=${0##*/}
for word in "$@"; do
    case $word in
        upgrade|dist-upgrade|full-upgrade)
            echo "$tool: the packages that this machine has are not upgraded."
            exit 0 ;;
        -*) ;;
        *) break ;;
    esac
done
exec "/usr/bin/$tool" "$@"
