/*
 * The table of engines.  "cuda" is a plug-in, so that nothing else of the suite
 * needs CUDA: cb_cuda.so beside the library or on the library path, or the file
 * that CB_CUDA_PLUGIN names.
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"

/* ../lib/clipbert/cb_cuda.so seen from the program's own folder: there both
 * after `make install` and under build/. */
static void *
plugin(void)
{
	char path[PATH_MAX + 64], *slash;
	const char *named = getenv("CB_CUDA_PLUGIN");
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);

	if (named != NULL && *named != '\0')
		return dlopen(named, RTLD_NOW | RTLD_LOCAL);
	if (n > 0) {
		path[n] = '\0';
		if ((slash = strrchr(path, '/')) != NULL) {
			strcpy(slash, "/../lib/clipbert/cb_cuda.so");
			if (access(path, F_OK) == 0)
				return dlopen(path, RTLD_NOW | RTLD_LOCAL);
		}
	}
	return dlopen("cb_cuda.so", RTLD_NOW | RTLD_LOCAL);
}

/* Can a GPU answer?  Not without a driver; to learn that from CUDA's libraries
 * takes 75 ms.  A plug-in that was asked for by name knows better. */
static bool
driver(void)
{
	const char *named = getenv("CB_CUDA_PLUGIN");

	return (named != NULL && *named != '\0') ||
	    dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL) != NULL;
}

/* The plug-in stays loaded until the program ends: its driver keeps threads. */
static int
cuda_open(struct cb_engine **out, const char *precision)
{
	cb_plugin_open_fn *open;
	void *so;

	if ((so = plugin()) == NULL)
		return cb_fail(CB_EMISSING, "cuda: cb_cuda.so cannot be "
		    "loaded: %s", dlerror());
	*(void **)&open = dlsym(so, "cb_cuda_open");
	if (open == NULL)
		return cb_fail(CB_EFORMAT, "cuda: cb_cuda.so is not an engine: "
		    "%s", dlerror());
	return open(out, sizeof(**out), precision);
}

/* ref and cpu. */
static int
host_open(struct cb_engine **out, bool ref, const char *precision, int threads)
{
	if (*precision != '\0' && strcmp(precision, "fp32") != 0)
		return cb_fail(CB_EUSAGE, "%s: computes in fp32 only, not %s",
		    ref ? "ref" : "cpu", precision);
	return ref ? cb_ref_open(out) : cb_cpu_open(out, threads);
}

int
cb_engine_open(struct cb_engine **out, const char *name, int threads)
{
	const char *colon = strchrnul(name, ':');
	const char *precision = *colon == ':' ? colon + 1 : "";
	char device[8];

	snprintf(device, sizeof(device), "%.*s", (int)(colon - name), name);
	if (strcmp(device, "ref") == 0)
		return host_open(out, true, precision, threads);
	if (strcmp(device, "cpu") == 0)
		return host_open(out, false, precision, threads);
	if (strcmp(device, "cuda") == 0)
		return cuda_open(out, precision);
	if (strcmp(device, "auto") != 0)
		return cb_fail(CB_EUSAGE, "%.*s: no such engine (auto, cpu, "
		    "cuda, ref)", (int)(colon - name), name);
	if (driver() && cuda_open(out, precision) == 0)
		return 0;
	return host_open(out, false, precision, threads);
}

void
cb_resized(int *rows, int *cols, int h, int w, int S)
{
	*rows = *cols = S;
	if (h >= w)
		*cols = (int)(S * (w * 1.0 / h));
	else
		*rows = (int)(S * (h * 1.0 / w));
	*rows = *rows > 0 ? *rows : 1;
	*cols = *cols > 0 ? *cols : 1;
}
