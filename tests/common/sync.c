/* Preloaded into daybook. Appends a byte to $SYNC_LOG for each sync of a write-ahead log. Syncs fail once the file $FAIL_SYNC
 * exists, and hang while $HANG_SYNC exists, as on a dying disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_there(const char *name)
{
    const char *trigger = getenv(name);
    return trigger && access(trigger, F_OK) == 0;
}

/* Create an empty log: a test can then tell "no sync" from "not loaded". */
__attribute__((constructor)) static void begin(void)
{
    const char *log = getenv("SYNC_LOG");
    int file = log ? open(log, O_WRONLY | O_CREAT, 0600) : -1;
    if (file >= 0) close(file);
}

static void note(int fd)
{
    const char *log = getenv("SYNC_LOG");
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    if (!log || length < 4 || memcmp(path + length - 4, "-wal", 4) != 0) return;
    int file = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file < 0 || write(file, ".", 1) != 1) abort();
    close(file);
}

static int sync_by(const char *name, int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    while (is_there("HANG_SYNC")) usleep(1000);
    if (is_there("FAIL_SYNC")) { errno = EIO; return -1; }
    int result = next(fd);
    if (result == 0) note(fd);
    return result;
}

int fdatasync(int fd) { return sync_by("fdatasync", fd); }
int fsync(int fd) { return sync_by("fsync", fd); }
