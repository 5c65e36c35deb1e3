#!/usr/bin/env bash
# MLflow's server, for supervisord (mlflow.conf), with the variables of ~/cifarray.env. It listens on this machine only.
set -euo pipefail

# A server that is killed leaves children that hold the port; they have the number of its process group.
if [ -f ~/mlflow.group ]; then pkill -KILL -g "$(cat ~/mlflow.group)" -f mlflow || true; fi
echo $$ > ~/mlflow.group

# Nothing here asks MLflow to run jobs of its own, for which it would keep a dozen processes.
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
exec mlflow server --host 127.0.0.1 --port 5000 --workers 1 --backend-store-uri "sqlite:///$HOME/mlflow.db" \
  --artifacts-destination "$CIFARRAY_STORAGE/mlflow-artifacts"
