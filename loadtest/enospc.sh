#!/bin/sh
# Runs `loadtest full` on a small file system of its own, and removes it afterwards. Needs root.
#
#   loadtest/enospc.sh                 an ext4 image of 400 MB, mounted by a loop device
#   FS=tmpfs loadtest/enospc.sh        a disk in memory of that size
#   loadtest/enospc.sh --filler-mib 64 arguments are passed on
#
# Exit status 0 only if the server refused with the reason, went on reading, took writes again and lost nothing.
set -eu

folder=$(mktemp -d "${TMPDIR:-/tmp}/tidewire-enospc.XXXXXX")
clean() {
    # A server that was killed a moment ago may still hold its files.
    for _ in 1 2 3 4 5; do
        mountpoint -q "$folder/disk" || break
        umount "$folder/disk" || sleep 1
    done
    rm -rf --one-file-system "$folder"
}
trap clean EXIT
trap 'exit 1' INT TERM

mkdir "$folder/disk"
case "${FS:-ext4}" in
tmpfs) mount -t tmpfs -o size=400m tmpfs "$folder/disk" ;;
ext4)
    truncate -s 400M "$folder/image"
    mkfs.ext4 -q -F -m 0 "$folder/image"
    mount -o loop "$folder/image" "$folder/disk"
    ;;
*)
    echo "FS=$FS: ext4 or tmpfs" >&2
    exit 2
    ;;
esac
# Log files of the usual 64 MiB, two a shard, would fill so small a disk before a row is acknowledged.
"${LOADTEST:-target/release/loadtest}" full --server "${SERVER:-target/release/tidewire}" \
    --data-dir "$folder/disk/data" --server-log "$folder/log" --set wal.file_bytes=16MiB "$@"
