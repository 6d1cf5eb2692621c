#!/bin/sh
# The only step that may create the database: restores a missing one from the backup, then `daybook init` migrates it, or creates it
# if there is no backup yet. If the backup cannot be read, it fails and creates nothing: an empty database would hide the loss and
# soon replace the backup.
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

# An empty file counts as missing: a full disk or a failed copy leaves one.
if [ -s "$database" ]; then
    echo "restore: $database exists: nothing to restore"
else
    # SQLite would apply the log or journal of the lost database to the restored one, and corrupt it.
    for left_over in "$database-wal" "$database-journal"; do
        [ ! -s "$left_over" ] ||
            fail "$left_over exists, but $database is missing or empty: put back the database it belongs to; if that is lost, move $left_over to another directory and start again to restore the backup"
    done
    [ -n "${BACKUP_URL-}" ] || fail "BACKUP_URL is not set: set it to the backup's URL"
    # Litestream's own error would be about EC2 metadata.
    key=${AWS_SHARED_CREDENTIALS_FILE-}
    case $BACKUP_URL in
    s3://*) [ -z "$key" ] || { [ -r "$key" ] && [ -s "$key" ]; } ||
        fail "no key for $BACKUP_URL: BACKUP_S3_CREDENTIALS_FILE must name a file with it, readable for user $(id -u)" ;;
    esac
    trap 'kill "$litestream" && wait "$litestream"; fail "stopped: no database was created"' INT TERM

    # Retry for 30 s: a server or network may still be starting.
    start=$(date +%s)
    until restore; do
        [ $(($(date +%s) - start)) -lt 30 ] ||
            fail "cannot restore $database from $BACKUP_URL (the reason is above): no database was created"
        sleep 2
    done
    trap - INT TERM

    if [ -e "$restored" ]; then
        # Litestream's working files belong to the lost database.
        rm -rf "$(dirname "$database")/.$(basename "$database")-litestream"
        sync "$restored"
        mv "$restored" "$database"
        echo "restore: restored $database from $BACKUP_URL"
    else
        echo "restore: no backup at $BACKUP_URL yet: creating a new database"
    fi
fi

# No replica runs yet, so migrations may take long. (This is `--allow-downtime` for versions that do not have it, too.)
export DAYBOOK_COMMIT__DEADLINE=365d
exec daybook init
