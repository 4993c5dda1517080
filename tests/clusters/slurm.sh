#!/usr/bin/env bash
# A Slurm cluster of one node on this machine, without systemd: all of it lies in DIR.
#   slurm.sh start DIR    then: export SLURM_CONF=DIR/slurm.conf
#   slurm.sh stop DIR     cancels what runs, ends the daemons
# Needs Debian's packages slurm-wlm and munge (apt-get install slurm-wlm munge), and to be root.
# Partition "work" is the default; a job in "urgent" preempts one there, which goes back to the queue, and in "brief" one that is cancelled.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
what=${1:-} dir=${2:-}
if [[ $what != start && $what != stop || -z $dir ]]; then
    echo "usage: slurm.sh start|stop DIR" >&2
    exit 2
fi

free_ports() {
    python3 - "$1" <<'PYTHON'
import socket
import sys

sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for each in sockets:
    each.bind(("127.0.0.1", 0))
print(*[each.getsockname()[1] for each in sockets])
PYTHON
}

configure() {
    local host control node
    host=$(hostname -s)
    read -r control node <<<"$(free_ports 2)"
    cat >"$dir/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$control
SlurmdPort=$node
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MailProg=/bin/true
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
KillWait=60
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 Gres=gpu:1 State=UNKNOWN
PartitionName=work Nodes=$host Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=0
PartitionName=brief Nodes=$host MaxTime=INFINITE PriorityTier=1 PreemptMode=CANCEL
PartitionName=urgent Nodes=$host MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
CONF
    echo "Name=gpu File=/dev/null" >"$dir/gres.conf" # a name to ask for, no device
}

start() {
    for program in munged slurmctld slurmd sbatch; do
        command -v "$program" >/dev/null || { echo "$program not found: apt-get install slurm-wlm munge" >&2; exit 3; }
    done
    [[ $(id -u) == 0 ]] || { echo "slurm.sh needs to be root" >&2; exit 3; }
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    mkdir -p "$dir/munge" "$dir/state" "$dir/spool"
    chmod 755 "$dir" "$dir/munge"
    configure
    export SLURM_CONF=$dir/slurm.conf
    head -c 1024 /dev/urandom >"$dir/munge/key"
    chmod 400 "$dir/munge/key"
    chown -R munge: "$dir/munge"
    # --force: folders above DIR may be other people's, as under /tmp
    setpriv --reuid=munge --regid=munge --clear-groups munged --force --num-threads=2 --key-file="$dir/munge/key" \
        --socket="$dir/munge/socket" --pid-file="$dir/munge/pid" --log-file="$dir/munge/log" --seed-file="$dir/munge/seed" 2>"$dir/munge/said"
    slurmctld -i -c
    slurmd
    for _ in $(seq 200); do
        [[ $(sinfo --noheader --partition=work --format=%t 2>/dev/null) == idle ]] && return
        sleep 0.1
    done
    echo "the node did not come up; see $dir/slurmctld.log and $dir/slurmd.log" >&2
    exit 1
}

# Ends the process of a pid file and waits for it.
finish() {
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
}

stop() {
    dir=$(cd "$dir" && pwd)
    export SLURM_CONF=$dir/slurm.conf
    scancel --user="$(id -un)" 2>/dev/null || true
    for _ in $(seq 100); do
        [[ -z $(squeue --noheader 2>/dev/null) ]] && break
        sleep 0.1
    done
    finish "$dir/slurmd.pid"
    finish "$dir/slurmctld.pid"
    finish "$dir/munge/pid"
}

"$what"
