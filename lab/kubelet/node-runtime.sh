#!/bin/busybox sh
# The node's half of the lab's kubelet: starts, ends and reports the containers of pods. It is installed and called over ssh by the kubelet,
# which keeps no state of its own: what runs here is found here again.
#
#   $ROOT/pods/UID/pod                   namespace/name
#                 /prepared              volumes are mounted and files written
#                 /stopping              SIGTERM was sent
#                 /claims/VOLUME         CSI volume handle; there before the volume is mounted, gone after it was unmounted
#                 /volumes/VOLUME/       where it is mounted, or its files
#                 /devices/VOLUME        device node of a raw volume
#                 /containers/NAME/      script, log, and of the last attempt: attempt, pid, started, exit ("code time")
#
# A container is a control group and a mount namespace. The namespaces are slaves of the node's: what is unmounted on the node is unmounted in them.
set -u
ROOT=${ROOT:-/run/kubelet}
GROUPS_ROOT=${GROUPS_ROOT:-/sys/fs/cgroup}
PATH=/usr/sbin:/usr/bin:/sbin:/bin

# Everything a freshly booted node needs before its first pod.
initialise() {
  mkdir -p "$ROOT/pods"
  [ -p "$ROOT/changes" ] || mkfifo "$ROOT/changes"
  mount --make-rshared /
  grep -q " $GROUPS_ROOT cgroup2 " /proc/mounts || mount -t cgroup2 none "$GROUPS_ROOT"
  mkdir -p "$GROUPS_ROOT/pods"
}

# Wakes the reporter. Opened for reading too, so that it never waits for one.
report_change() { echo 1<>"$ROOT/changes"; }

# One block of lines on standard output whenever something changed, and every two seconds. It ends when nobody reads it any more. The time limit
# of `read` is busybox's: other shells refuse it at once, and the loop would spin.
report() {
  [ ! -e "$ROOT/reporter" ] || kill "$(cat "$ROOT/reporter")" 2>/dev/null
  echo $$ > "$ROOT/reporter"
  exec 3<>"$ROOT/changes"
  while snapshot; do read -r -t 2 _ <&3; done
}

snapshot() {
  read -r boot < /proc/sys/kernel/random/boot_id
  output="boot $boot"
  for pod in "$ROOT"/pods/*/; do
    [ -e "${pod}pod" ] || continue
    uid=${pod%/} uid=${uid##*/}
    read -r name < "${pod}pod"
    flags=
    [ ! -e "${pod}prepared" ] || flags="$flags prepared"
    [ ! -e "${pod}stopping" ] || flags="$flags stopping"
    output="$output
pod $uid $name$flags"
    for claim in "$pod"claims/*; do
      read -r handle < "$claim" || continue
      output="$output
claim $uid ${claim##*/} $handle"
    done
    for container in "$pod"containers/*/; do
      read -r attempt < "${container}attempt" || continue
      read -r started < "${container}started" || continue
      ended=
      [ ! -e "${container}exit" ] || read -r ended < "${container}exit"
      container=${container%/}
      output="$output
container $uid ${container##*/} $attempt $started $ended"
    done
  done 2>/dev/null
  echo "$output
end"
}

# start UID NAME ATTEMPT: runs containers/NAME/script. Does nothing where that attempt was started already.
start() {
  container=$ROOT/pods/$1/containers/$2 attempt=$3
  [ "$(cat "$container/attempt" 2>/dev/null || echo 0)" -lt "$attempt" ] || return 0
  rm -f "$container/exit" "$container/pid"
  mkdir -p "$GROUPS_ROOT/pods/$1-$2"
  date +%s > "$container/started"
  echo "$attempt" > "$container/attempt"
  setsid "$0" supervise "$1" "$2" < /dev/null >> "$container/log" 2>&1 &
  # Until the supervisor is in a session of its own it would be ended with this one.
  tries=0
  until [ -s "$container/pid" ]; do
    tries=$((tries + 1))
    [ $tries -le 1000 ] || { echo "container $2 of pod $1 was not started within 20 s" >&2; return 1; }
    usleep 20000
  done
  report_change
}

# Outlives the ssh session that started it, waits for the container's first process, and ends all that is left of the container with it.
supervise() {
  container=$ROOT/pods/$1/containers/$2 group=$GROUPS_ROOT/pods/$1-$2
  unshare -m --propagation slave /bin/sh "$container/script" &
  pid=$!
  echo $pid > "$container/pid"
  wait $pid
  code=$?
  end_group "$group"
  echo "$code $(date +%s)" > "$container/exit.new"
  mv "$container/exit.new" "$container/exit"
  report_change
}

# terminate UID: asks every container to end.
terminate() {
  : > "$ROOT/pods/$1/stopping"
  for container in "$ROOT/pods/$1"/containers/*/; do
    [ -e "${container}exit" ] || kill -TERM "$(cat "${container}pid")" 2>/dev/null
  done
  report_change
}

# release UID: ends what still runs and unmounts its volumes. Fails, and may be called again, where something is in the way.
release() {
  pod=$ROOT/pods/$1
  for group in "$GROUPS_ROOT/pods/$1"-*/; do
    [ ! -e "$group" ] || { end_group "$group" && rmdir "$group"; } || return 1
  done
  for volume in "$pod"/volumes/*; do
    ! mounted "$volume" || umount "$volume" || return 1
  done
  for claim in "$pod"/claims/*; do
    [ ! -e "$claim" ] || demote "$(cat "$claim")" || return 1
  done
  rm -rf "$pod/claims" "$pod/devices" "$pod/prepared"
  report_change
}

# demote HANDLE: lets the other node of a volume that DRBD keeps on two have it, where the last pod here lets go of it.
demote() {
  [ -e "/etc/drbd.d/$1.res" ] || return 0
  [ "$(cat "$ROOT"/pods/*/claims/* | grep -cx -e "$1")" -gt 1 ] || drbdadm secondary "$1"
}

# remove UID: releases and forgets it.
remove() {
  release "$1" || return 1
  # What is still mounted below would be emptied with the directory.
  ! grep " $ROOT/pods/$1/" /proc/mounts >&2 || return 1
  rm -rf "${ROOT:?}/pods/$1"
  report_change
}

mounted() { grep -q " $1 " /proc/mounts; }

# SIGKILL to every process of a control group, and a wait of at most 10 s until they are gone.
end_group() {
  [ -e "$1/cgroup.kill" ] || return 0
  echo 1 > "$1/cgroup.kill"
  tries=0
  while grep -q 'populated 1' "$1/cgroup.events"; do
    tries=$((tries + 1))
    [ $tries -le 200 ] || { echo "processes of $1 are still there 10 s after SIGKILL: $(tr '\n' ' ' < "$1/cgroup.procs")" >&2; return 1; }
    usleep 50000
  done
}

"$@"
