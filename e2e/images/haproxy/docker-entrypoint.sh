#!/bin/sh
# As in the official image: options alone, or "haproxy" and options, run it in the foreground with a master process.
set -e
case ${1-} in
-*) exec haproxy -W -db "$@" ;;
haproxy)
    shift
    exec haproxy -W -db "$@"
    ;;
esac
exec "$@"
