#!/bin/sh
# The one step that may create the database. Where there is none it is restored from its backup; then `daybook init`
# brings it up to date, or creates it where there is no backup yet. When the backup cannot be read, nothing is created
# and this fails: an empty database would hide the loss, and would soon be what is backed up.
set -eu

config=/etc/litestream/litestream.yml
database=$DAYBOOK_DATABASE__PATH
restored=$database.restoring

fail() {
    rm -rf "$restored" "$restored"[.-]*
    echo "restore: $1" >&2
    exit 1
}

restore() {
    rm -rf "$restored" "$restored"[.-]*
    litestream restore -config "$config" -if-replica-exists -integrity-check quick -o "$restored" "$database" &
    litestream=$!
    wait "$litestream"
}

# An empty file is none: a full disk or a failed copy leaves one.
if [ -s "$database" ]; then
    echo "restore: $database is there: nothing to restore"
else
    # SQLite would take the log or the journal of a lost database for the restored one's, and spoil it.
    for left_over in "$database-wal" "$database-journal"; do
        [ ! -s "$left_over" ] ||
            fail "$left_over is there, and $database is missing or empty: put the database back that it belongs to; if that is lost, keep $left_over in another directory and start again to restore the backup"
    done
    [ -n "${BACKUP_URL-}" ] || fail "BACKUP_URL is not set: it says where the backup is"
    # Litestream would only say that it is no machine of Amazon's.
    key=${AWS_SHARED_CREDENTIALS_FILE-}
    case $BACKUP_URL in
    s3://*) [ -z "$key" ] || { [ -r "$key" ] && [ -s "$key" ]; } ||
        fail "no key for $BACKUP_URL: BACKUP_S3_CREDENTIALS_FILE has to name a file with it, readable for user $(id -u)" ;;
    esac
    trap 'kill "$litestream" && wait "$litestream"; fail "stopped: no database was created"' INT TERM

    # A server or a network may be half a minute late.
    start=$(date +%s)
    until restore; do
        [ $(($(date +%s) - start)) -lt 30 ] ||
            fail "cannot restore $database from $BACKUP_URL (the reason is above): no database was created"
        sleep 2
    done
    trap - INT TERM

    if [ -e "$restored" ]; then
        # What Litestream remembers of a lost database is not true of this one.
        rm -rf "$(dirname "$database")/.$(basename "$database")-litestream"
        sync "$restored"
        mv "$restored" "$database"
        echo "restore: restored $database from $BACKUP_URL"
    else
        echo "restore: there is no backup at $BACKUP_URL yet: a new database"
    fi
fi

exec daybook init
