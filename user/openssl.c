/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See openssl.h. */
#include "openssl.h"

#include <dlfcn.h>
#include <errno.h>
#include <openssl/opensslv.h>

#define TEXT(number)    #number
#define NUMBER(number)  TEXT(number)
#define OPENSSL_LIBRARY "libssl.so." NUMBER(OPENSSL_VERSION_MAJOR)

int openssl_load(const struct openssl **openssl, struct problem *problem)
{
	static struct openssl functions;
	void *library = dlopen(OPENSSL_LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return problem_set(problem, -ELIBACC, "%s is not here: install OpenSSL (package libssl%d)",
				   OPENSSL_LIBRARY, OPENSSL_VERSION_MAJOR);
		/* Those of libcrypto are found too: the library brings it along. */
#define X(name)                                                                                              \
	*(void **)&functions.name = dlsym(library, #name);                                                   \
	if (!functions.name)                                                                                 \
		return problem_set(problem, -ELIBACC,                                                        \
				   "%s has no %s: it is not the OpenSSL that this was built for",            \
				   OPENSSL_LIBRARY, #name);
	OPENSSL_FUNCTIONS(X)
#undef X
	*openssl = &functions;
	return 0;
}
