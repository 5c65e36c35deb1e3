#!/bin/bash
# The first process of a test host, in namespaces of its own (network, PIDs, mounts, names): builds the host's root
# from nothing, moves into it, starts sshd if there is a key that may log in, and reaps what is orphaned.
#
#   host.sh NAME ROOT PROJECT PYTHON HOSTS [SOURCE=TARGET …]
#
# ROOT: an empty folder. PROJECT: the checkout whose .venv the host gets read-only, at the same path, on its own and
# otherwise empty ~/cifarray. PYTHON: the interpreter's installation. HOSTS: /etc/hosts. SOURCE=TARGET: what is shared.
set -euo pipefail
name=$1 root=$2 project=$3 python=$4 hosts=$5
shift 5

hostname "$name"
mount --make-rprivate /
mount -t tmpfs -o size=6g tmpfs "$root"

read_only() {  # SOURCE [TARGET]
  local target=$root${2:-$1}
  if [ -d "$1" ]; then mkdir -p "$target"; else mkdir -p "$(dirname "$target")"; touch "$target"; fi
  mount --bind "$1" "$target"
  mount -o remount,bind,ro "$target"
}

mkdir -p "$root"/{proc,dev,sys,tmp,root,run/sshd,var/tmp,var/log}
chmod 1777 "$root/tmp" "$root/var/tmp"
for folder in /bin /sbin /lib /lib32 /lib64 /libx32; do
  if [ -L "$folder" ]; then cp -d "$folder" "$root/"; elif [ -d "$folder" ]; then read_only "$folder"; fi
done
read_only /usr
read_only /etc
mount --bind "$hosts" "$root/etc/hosts"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
mount --bind "$root/dev/pts/ptmx" "$root/dev/ptmx"

read_only "$python"
mkdir -p "$root/root/cifarray/.venv" "$root$project"
mount --bind "$project/.venv" "$root/root/cifarray/.venv"
mount -o remount,bind,ro "$root/root/cifarray/.venv"
mount --rbind "$root/root/cifarray" "$root$project"
for share in "$@"; do
  mkdir -p "$root${share#*=}"
  mount --bind "${share%%=*}" "$root${share#*=}"
done

if [ -f "$root/etc/ssh/sshd_config" ] && [ -x /usr/sbin/sshd ]; then
  ssh-keygen -q -t ed25519 -N '' -f "$root/run/sshd/host_key"
fi
touch "$root/run/up"
exec chroot "$root" /bin/bash -c '
  cd /root
  /usr/sbin/sshd -D -e -f /dev/null -h /run/sshd/host_key -o PermitRootLogin=prohibit-password -o UsePAM=no \
    -o AuthorizedKeysFile=/run/sshd/authorized_keys -o StrictModes=no -o PidFile=none 2>/var/log/sshd.log &
  wait'
