/* Loaded into keepalived, it takes the place of the kernel's IPVS: every request succeeds, and nothing is kept. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* The options of IPVS (linux/ip_vs.h): IP_VS_BASE_CTL and those behind it. */
static int is_ipvs(int level, int name)
{
	return level == IPPROTO_IP && name >= 1152 && name < 1152 + 64;
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	static int (*next)(int, int, int, void *, socklen_t *);

	if (is_ipvs(level, name)) {
		memset(value, 0, *length);
		return 0;
	}
	if (!next)
		*(void **) &next = dlsym(RTLD_NEXT, "getsockopt");
	return next(fd, level, name, value, length);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	static int (*next)(int, int, int, const void *, socklen_t);

	if (is_ipvs(level, name))
		return 0;
	if (!next)
		*(void **) &next = dlsym(RTLD_NEXT, "setsockopt");
	return next(fd, level, name, value, length);
}
