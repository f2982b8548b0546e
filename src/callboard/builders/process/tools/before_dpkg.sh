#!/bin/sh
# Reads the packages that dpkg is about to unpack. Files of the machine's own versions of them belong to nobody here,
# which dpkg cannot back up: they become files of this root.
while read -r package; do
    name=$(dpkg-deb -f "$package" Package) || continue
    dpkg-query -L "$name" 2>/dev/null | while read -r file; do
        if [ -f "$file" ] && [ ! -L "$file" ] && [ ! -O "$file" ]; then
            cp -p -- "$file" "$file.stage" && mv -f -- "$file.stage" "$file"
        fi
    done
done
exit 0
