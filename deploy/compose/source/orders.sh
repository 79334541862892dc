#!/usr/bin/env bash
# Runs orders.sql every ORDERS_EVERY seconds until it is told to stop.
set -uo pipefail
trap 'exit 0' TERM INT
while :; do
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --file /etc/etl/orders.sql ||
    echo "orders: the database did not take them; trying again in $ORDERS_EVERY s" >&2
  # In the background: bash ends a wait at a signal, but not a sleep.
  sleep "$ORDERS_EVERY" &
  wait $!
done
