/*
 * The CPU engine.  So far it computes by the twins.
 */
#include "engine/host.h"

int
cb_cpu_open(struct cb_engine **out, int threads)
{
	(void)threads;
	return cb_ref_open(out);
}
