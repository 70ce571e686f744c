#!/bin/sh
# Installs rnginx, rkeepalived and rmigrate from the unpacked archive.
#
#   ./install.sh [--prefix DIR] [--destdir DIR]    programs, pages, completions and units below DIR (/usr/local)
#   ./install.sh [--prefix DIR] --uninstall        removes what was installed there
#
# No name of nginx's or keepalived's own is touched, nothing is started and no configuration is written.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
prefix=/usr/local destdir= uninstall= keep=yes
while [ $# -gt 0 ]; do
    case $1 in
        --prefix) prefix=$2; shift 2 ;;
        --prefix=*) prefix=${1#*=}; shift ;;
        --destdir) destdir=$2; shift 2 ;;
        --destdir=*) destdir=${1#*=}; shift ;;
        --no-manifest) keep=; shift ;;
        --uninstall) uninstall=yes; shift ;;
        *) sed -n 's/^# \{0,1\}//; 2,7p' "$0" >&2; exit 2 ;;
    esac
done
case $prefix in /*) ;; *) echo "install.sh: the prefix must be an absolute path" >&2; exit 2 ;; esac
prefix=${prefix%/}
manifest=$destdir$prefix/share/rha/manifest

if [ -n "$uninstall" ]; then
    [ -f "$manifest" ] || { echo "install.sh: nothing is installed below ${prefix:-/} ($manifest is missing)" >&2; exit 1; }
    list=$(mktemp)
    sort -r "$manifest" > "$list"
    while IFS= read -r path; do
        if [ -d "$destdir$path" ] && [ ! -L "$destdir$path" ]; then
            rmdir "$destdir$path" 2>/dev/null || true
        else
            rm -f "$destdir$path"
        fi
    done < "$list"
    rm -f "$list"
    exit 0
fi

made=$(mktemp)
trap 'rm -f "$made"' EXIT
# Makes a folder and those above it; notes the ones that were not there.
folder() {
    [ -d "$destdir$1" ] && return
    [ -n "$1" ] && folder "${1%/*}"
    mkdir "$destdir$1" 2>/dev/null || mkdir -p "$destdir$1"
    echo "$1" >> "$made"
}
put() { # FROM TO MODE
    folder "${2%/*}"
    # A program that runs keeps its own copy.
    cp "$1" "$destdir$2.new"
    chmod "$3" "$destdir$2.new"
    mv -f "$destdir$2.new" "$destdir$2"
    echo "$2" >> "$made"
}

for program in rnginx rkeepalived; do
    put "$here/sbin/$program" "$prefix/sbin/$program" 755
done
put "$here/bin/rmigrate" "$prefix/bin/rmigrate" 755
# Under these names the processes are called nginx and keepalived.
folder "$prefix/lib/rha"
for name in nginx keepalived; do
    ln -sfn "../../sbin/r$name" "$destdir$prefix/lib/rha/$name"
    echo "$prefix/lib/rha/$name" >> "$made"
done
for page in "$here"/man/*; do
    name=${page##*/}
    section=${name%.gz}
    put "$page" "$prefix/share/man/man${section##*.}/$name" 644
done
for file in "$here"/completions/*; do
    name=${file##*/}
    program=${name%.*}
    case $name in
        *.bash) put "$file" "$prefix/share/bash-completion/completions/$program" 644 ;;
        *.zsh) put "$file" "$prefix/share/zsh/vendor-completions/_$program" 644 ;;
        *.fish) put "$file" "$prefix/share/fish/vendor_completions.d/$program.fish" 644 ;;
    esac
done
for unit in "$here"/systemd/*; do
    sed "s|@libexec@|$prefix/lib/rha|" "$unit" > "$made.unit"
    put "$made.unit" "$prefix/lib/systemd/system/${unit##*/}" 644
    rm -f "$made.unit"
done
(cd "$here/share" && find . -type f) | while IFS= read -r file; do
    mode=644
    [ -x "$here/share/$file" ] && mode=755
    put "$here/share/${file#./}" "$prefix/share/rha/${file#./}" $mode
done
for file in "$here"/doc/*; do
    put "$file" "$prefix/share/doc/rha/${file##*/}" 644
done
if [ -n "$keep" ]; then
    # An earlier version's files that this one does not have stay known.
    [ -f "$manifest" ] && cat "$manifest" >> "$made"
    echo "$prefix/share/rha/manifest" >> "$made"
    sort -u "$made" > "$made.sorted"
    mv "$made.sorted" "$manifest"
    chmod 644 "$manifest"
fi
echo "installed below $prefix; the switch is described in rha-switch(7)"
