#!/bin/sh
# Makes what a team's servers keep: the databases prefect, mlflow and reviews, each with a role of its name that nobody else uses.
# What is there already stays; run it again to change a password. The container of compose.yaml runs it when its volume is new.
# Elsewhere, on the machine of PostgreSQL (14 or newer), with the three passwords in the environment:
#   sudo --preserve-env=DATABASE_PASSWORD_PREFECT,DATABASE_PASSWORD_MLFLOW,DATABASE_PASSWORD_REVIEWS -u postgres sh mlflow/databases.sh
set -eu

make() {
    # psql reads the password from the environment, so no list of processes shows it.
    PASSWORD=$2 psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set name="$1" \
        --username "${POSTGRES_USER:-${PGUSER:-postgres}}" --dbname postgres <<'SQL'
\getenv password PASSWORD
SELECT format('CREATE ROLE %I', :'name') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') \gexec
ALTER ROLE :"name" WITH LOGIN PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING ''UTF8''', :'name', :'name')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

make prefect "${DATABASE_PASSWORD_PREFECT:?}"
make mlflow "${DATABASE_PASSWORD_MLFLOW:?}"
make reviews "${DATABASE_PASSWORD_REVIEWS:?}"
