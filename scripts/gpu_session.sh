#!/usr/bin/env bash
# The most of ten minutes of a machine with one GPU and 16 cores: tests there, training of the
# mean-scale codecs from where they are, what lattices and the shift gain with them, and times.
#
#   scripts/gpu_session.sh OUT        OUT (or $OUT) gets eight files: see docs/scale.md
#
# Where a step fails or outlasts its time, the next ones are taken all the same, and the exit status
# is 1. MINUTES (9.5) are for all of them together. A rehearsal is DEVICE=cpu MINUTES=0.5: codecs
# are trained one after the other, on small batches, and only training is held to its time.
#
# What scripts/gpu_pack.py put into .gpu is used where it is there; else packages and images are
# those of this machine. PYTHON (python3) is one that has PyTorch.
set -uo pipefail

out=$(realpath -m "${1:-${OUT:?"name a folder: scripts/gpu_session.sh OUT"}}") || exit
cd "$(dirname "$0")/.." || exit
mkdir -p "$out"

python=${PYTHON:-python3}
device=${DEVICE:-cuda}
total=$(awk "BEGIN { print int(60 * ${MINUTES:-9.5}) }")
codec=tiny-mbt2018-mean
packed=.gpu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=()

photographs=()
images=kodak
start=runs
[ -d "$packed/photographs" ] && photographs=(--data "$packed/photographs")
[ -d "$packed/images" ] && images=$packed/images
[ -d "$packed/runs" ] && start=$packed/runs
if [ "$device" = cpu ]; then
  batches=(--batch 2 --crop 64 --check-every 10) trainings=1 workers=0 share=(--engine local) limit=1
else
  batches=(--batch 64 --crop 256 --check-every 500) trainings=4 workers=8 share=(--jobs 14) limit=8
fi

# Embedded codecs stay as they are: what is trained here goes by a name of its own.
export PYTHONPATH=$PWD:$work/site LATENTOPT_HOME=$work/home
export OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1 TQDM_DISABLE=1

# Seconds that are left until a part of the session, in percent, is over.
left() { echo $((total * $1 / 100 - SECONDS)); }

# step NAME PERCENT COMMAND...: take it, until so much of the session is over.
step() {
  local name=$1 seconds begun=$SECONDS
  seconds=$(left "$2")
  shift 2
  [ "$device" = cpu ] && seconds=1800
  echo "== $name: at most $seconds s"
  if [ "$seconds" -gt 0 ] && timeout --kill-after=5 "$seconds" "$@"; then
    echo "== $name: done in $((SECONDS - begun)) s"
  else
    echo "== $name: FAILED after $((SECONDS - begun)) s"
    failed+=("$name")
  fi
}

# Of the two extensions of CompressAI, which come as source, each is compiled by itself.
install() {
  printf '[build_ext]\nparallel = 2\n' >"$work/parallel.cfg"
  step "install packages" 15 env DIST_EXTRA_CONFIG="$work/parallel.cfg" "$python" -m pip install \
    --quiet --no-index --no-deps --no-build-isolation --no-compile --target "$work/site" \
    "$packed"/wheels/*
}

# Four processes, as one step of networks this small leaves a GPU waiting for Python.
train() {
  local seconds
  seconds=$(($(left 84) - 30)) # to start, and for the last check
  [ "$device" = cpu ] && seconds=$((total / 5))
  seq 4 >"$work/qualities"
  step "train" 84 xargs -a "$work/qualities" -P "$trainings" -I{} \
    "$python" scripts/train_zoo.py "$codec" {} --device "$device" --runs "$work/runs" \
    --start "$start" --minutes "$(awk "BEGIN { print $seconds / 60 }")" \
    "${batches[@]}" "${photographs[@]}"
  step "export" 87 xargs -a "$work/qualities" -P "$trainings" -I{} \
    "$python" scripts/train_zoo.py "$codec" {} --export --runs "$work/runs" \
    --start "$start" --to "$work/export"
  cp "$work/runs/$codec"-?.best.pt "$out"
  awk 'FNR > 1 || NR == 1 { print (NR == 1 ? "run" : FILENAME) "," $0 }' \
    "$work/runs/$codec"-?.csv | sed "s|^$work/runs/||" >"$out/training.csv"
}

# Prints the codec to measure: that which was trained, where all its qualities are there.
trained() {
  local quality
  mkdir -p "$LATENTOPT_HOME/zoo"
  for quality in 1 2 3 4; do
    mv "$work/export/$codec-$quality.safetensors" "$LATENTOPT_HOME/zoo/trained-$quality.safetensors" ||
      { echo "$codec" && return; }
  done
  echo trained
}

main() {
  nvidia-smi -L
  [ -d "$packed/wheels" ] && install
  "$python" -c "import torch; print('PyTorch', torch.__version__); torch.ones(1, device='$device')" ||
    return
  step "tests" 28 "$python" -m pytest tests/codec/test_cuda.py -n "$workers" -p no:cacheprovider -rs
  train
  measured=$(trained)
  step "table 1" 95 "$python" -m tables table1 --codecs "$measured" --data "$images" \
    --limit "$limit" --configs hex,shift,hex+shift,int,fast,default --device "$device" \
    "${share[@]}" --rows "$work/rows" --out "$work/tables" --quiet
  cp "$work"/tables/*.md "$out/table1.md"
  find "$work/rows" -name '*.csv' -exec cp {} "$out/table1-rows.csv" \;
  step "times" 100 "$python" scripts/timing.py --codec "$measured" --quality 3 --data "$images" \
    --limit "$limit" --device "$device" --threads 1 --configs fast default
  echo "== $SECONDS s in all; failed: ${failed[*]:-nothing}"
  [ ${#failed[@]} -eq 0 ]
}

main 2>&1 | tee "$out/session.log"
