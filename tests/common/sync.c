/* Preloaded into daybook: notes every sync of a write-ahead log in $SYNC_LOG, a byte each, and lets every sync fail as
 * a dying disk does, once the file $FAIL_SYNC is there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(void)
{
    const char *trigger = getenv("FAIL_SYNC");
    return trigger && access(trigger, F_OK) == 0;
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
    if (fails()) { errno = EIO; return -1; }
    int result = next(fd);
    if (result == 0) note(fd);
    return result;
}

int fdatasync(int fd) { return sync_by("fdatasync", fd); }
int fsync(int fd) { return sync_by("fsync", fd); }
