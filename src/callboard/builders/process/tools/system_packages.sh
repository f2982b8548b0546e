#!/bin/sh
# Stands for the system's package managers: an Actor's build cannot change this machine's system.
tool=${0##*/}
[ "$tool" = apt ] && tool=apt-get
install=
missing=
present=
skip=
for word in "$@"; do
    if [ -n "$skip" ]; then skip=; continue; fi
    case $word in
        install|add|reinstall) install=1 ;;
        -t|-o|-c|--virtual|--repository|-X) skip=1 ;;
        -*|.*) ;;
        *)
            [ -n "$install" ] || continue
            name=${word%%[=<>~@:]*}
            if command -v "$name" >/dev/null 2>&1 || [ -d "/usr/share/doc/$name" ]; then
                present="$present $name"
            else
                missing="$missing $name"
            fi ;;
    esac
done
[ -n "$present" ] && echo "$tool: on this machine already:$present"
[ -n "$missing" ] && echo "Warning: $tool: system packages are not installed by builds; not on this machine:$missing"
exit 0
