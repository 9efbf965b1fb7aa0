/* A disk that fails on command: preloaded into a process (LD_PRELOAD), it counts every operation that
   changes something under the folder FAULT_UNDER, and at number FAULT_AT ends the process (FAULT_HOW=kill)
   or fails with that errno (FAULT_HOW=28, say: no space left). With FAULT_STAYS all that takes
   space fails from then on; removing goes on working, as on a full disk.
   FAULT_FOLDER_SYNC=22 is another disk: one on which folders cannot be synced, with that errno.
   At its end the process writes how many operations it counted to the file FAULT_COUNT. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long operations;

long operations_until_now(void) { return atomic_exchange(&operations, 0); } /* and counts anew */

static int under(const char *path) {
  const char *folder = getenv("FAULT_UNDER");
  return folder && path && !strncmp(path, folder, strlen(folder));
}

static int fails(const char *path, int takes_space) {
  const char *at = getenv("FAULT_AT"), *how = getenv("FAULT_HOW");
  if (!under(path)) return 0;
  long number = atomic_fetch_add(&operations, 1) + 1, wanted = at ? atol(at) : 0;
  if (!wanted || !how || number < wanted) return 0;
  if (number > wanted && !(getenv("FAULT_STAYS") && takes_space)) return 0;
  if (!strcmp(how, "kill")) raise(SIGKILL);
  errno = atoi(how);
  return 1;
}

static const char *at_folder(int folder, const char *path, char *whole) {
  char link[64];
  if (path[0] == '/' || folder == AT_FDCWD) return path;
  snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
  ssize_t length = readlink(link, whole, PATH_MAX);
  if (length < 0) return path;
  snprintf(whole + length, PATH_MAX, "/%s", path);
  return whole;
}

static int file_fails(int file, int takes_space) {
  char link[64], path[PATH_MAX + 1];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, PATH_MAX);
  if (length < 0) return 0;
  path[length] = 0;
  return fails(path, takes_space);
}

__attribute__((destructor)) static void tell(void) {
  const char *name = getenv("FAULT_COUNT");
  FILE *file = name ? fopen(name, "w") : NULL;
  if (file) fprintf(file, "%ld\n", atomic_load(&operations)), fclose(file);
}

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                                            \
  int name(const char *path, int flags, ...) {                                \
    va_list rest;                                                             \
    va_start(rest, flags);                                                    \
    mode_t mode = va_arg(rest, mode_t);                                       \
    va_end(rest);                                                             \
    if (flags & (O_CREAT | O_TRUNC) && fails(path, 1)) return -1;             \
    return REAL(int, name, const char *, int, mode_t)(path, flags, mode);     \
  }
#define OPENAT(name)                                                          \
  int name(int folder, const char *path, int flags, ...) {                    \
    char whole[2 * PATH_MAX];                                                 \
    va_list rest;                                                             \
    va_start(rest, flags);                                                    \
    mode_t mode = va_arg(rest, mode_t);                                       \
    va_end(rest);                                                             \
    if (flags & (O_CREAT | O_TRUNC) && fails(at_folder(folder, path, whole), 1)) return -1; \
    return REAL(int, name, int, const char *, int, mode_t)(folder, path, flags, mode); \
  }
#define PWRITE(name, offset_type)                                             \
  ssize_t name(int file, const void *data, size_t size, offset_type offset) { \
    if (file_fails(file, 1)) return -1;                                       \
    return REAL(ssize_t, name, int, const void *, size_t, offset_type)(file, data, size, offset); \
  }
OPEN(open) OPEN(open64) OPENAT(openat) OPENAT(openat64)
PWRITE(pwrite, off_t) PWRITE(pwrite64, off64_t)

ssize_t write(int file, const void *data, size_t size) {
  if (file > 2 && file_fails(file, 1)) return -1;
  return REAL(ssize_t, write, int, const void *, size_t)(file, data, size);
}
ssize_t writev(int file, const struct iovec *parts, int count) {
  if (file > 2 && file_fails(file, 1)) return -1;
  return REAL(ssize_t, writev, int, const struct iovec *, int)(file, parts, count);
}
int fsync(int file) {
  const char *unsupported = getenv("FAULT_FOLDER_SYNC");
  struct stat status;
  if (unsupported && !fstat(file, &status) && S_ISDIR(status.st_mode)) {
    errno = atoi(unsupported);
    return -1;
  }
  return file_fails(file, 1) ? -1 : REAL(int, fsync, int)(file);
}
int fdatasync(int file) {
  return file_fails(file, 1) ? -1 : REAL(int, fdatasync, int)(file);
}
int mkdir(const char *path, mode_t mode) {
  return fails(path, 1) ? -1 : REAL(int, mkdir, const char *, mode_t)(path, mode);
}
int rename(const char *from, const char *to) {
  return fails(to, 0) ? -1 : REAL(int, rename, const char *, const char *)(from, to);
}
int unlink(const char *path) {
  return fails(path, 0) ? -1 : REAL(int, unlink, const char *)(path);
}
int rmdir(const char *path) {
  return fails(path, 0) ? -1 : REAL(int, rmdir, const char *)(path);
}
int unlinkat(int folder, const char *path, int flags) {
  char whole[2 * PATH_MAX];
  if (fails(at_folder(folder, path, whole), 0)) return -1;
  return REAL(int, unlinkat, int, const char *, int)(folder, path, flags);
}
