/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Asks a TLS server what it accepts, one connection for each question, as a client would: a version at a
 * time, then each version without the ciphers that it has chosen before, until it refuses. Every step has a
 * time limit.
 */
#include "doctor_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "cleanup.h"
#include "openssl.h"

#define ALL_CIPHERS     "ALL:COMPLEMENTOFALL"
#define CONNECTIONS_MAX 160   /* far more than a server with every cipher of OpenSSL takes */
#define TIME_MAX        30000 /* milliseconds in all */

/* What became of one connection. */
enum outcome {
	OUTCOME_ACCEPTED,
	OUTCOME_REFUSED, /* an alert, a reset or the end, after the hello */
	OUTCOME_NO_TLS,  /* an answer that is none of TLS */
	OUTCOME_SILENT,
	OUTCOME_UNOFFERED, /* the library cannot ask this */
	OUTCOME_NO_CONNECTION,
};

struct probe {
	const struct openssl *ssl;
	struct tls_report *report;
	struct addrinfo *address; /* that has answered, or the first to try */
	struct addrinfo *addresses;
	int patience;  /* milliseconds for a step */
	long long end; /* CLOCK_MONOTONIC milliseconds */
	int connections;
	int error; /* of the last connection that could not be made: errno */
};

/* One question: what a hello offers. */
struct question {
	enum tls_version version;
	const char *ciphers; /* of TLS 1.2 and before, or the suites of 1.3 */
	const char *group;   /* NULL: the library's */
	bool verify;         /* by the system's store, which takes a while to read */
};

static long long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static bool is_over(const struct probe *probe)
{
	return probe->connections >= CONNECTIONS_MAX || milliseconds() >= probe->end;
}

/* --- connecting --- */

/* Waits for a descriptor until a time: 0, or -ETIMEDOUT. */
static int wait_for(int fd, short events, long long until)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};
	long long left = until - milliseconds();

	return left > 0 && poll(&poll_fd, 1, (int)left) > 0 ? 0 : -ETIMEDOUT;
}

/* A connected socket that does not block, or -errno. */
static int connect_to(const struct addrinfo *address, int patience)
{
	_cleanup_close_ int fd =
		socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, address->ai_protocol);
	socklen_t size = sizeof(int);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (!connect(fd, address->ai_addr, address->ai_addrlen))
		return take_fd(&fd);
	if (errno != EINPROGRESS)
		return -errno;
	error = wait_for(fd, POLLOUT, milliseconds() + patience);
	if (error)
		return error;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) || error)
		return error ? -error : -errno;
	return take_fd(&fd);
}

/* The first address that answers is kept for the questions that follow. */
static int connect_any(struct probe *probe)
{
	int fd = -ENOENT;

	for (struct addrinfo *address = probe->address; address; address = address->ai_next) {
		fd = connect_to(address, probe->patience);
		if (fd >= 0) {
			probe->address = address;
			return fd;
		}
		if (probe->connections > 1)
			break;
	}
	return fd;
}

static int resolve(struct probe *probe, struct problem *problem)
{
	const struct tls_target *target = &probe->report->target;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	int error = getaddrinfo(target->host, target->port, &hints, &probe->addresses);

	if (error)
		return problem_set(problem, -ENOENT, "%s: no such host: %s", target->host,
				   error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
	probe->address = probe->addresses;
	return 0;
}

/* --- one question --- */

/* Has the server asked for a certificate? OpenSSL tells it by a call that takes no argument of ours. */
static bool certificate_wanted;

static int note_request(SSL *connection, X509 **certificate, EVP_PKEY **key)
{
	(void)connection, (void)certificate, (void)key;
	certificate_wanted = true;
	return 0; /* none to give */
}

static const int numbers[TLS_VERSIONS] = {TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION};

/* What the library is told to offer. NULL where it cannot. */
static SSL_CTX *make_context(const struct probe *probe, const struct question *question)
{
	const struct openssl *ssl = probe->ssl;
	SSL_CTX *context = ssl->SSL_CTX_new(ssl->TLS_client_method());
	int number = numbers[question->version];
	bool offered;

	if (!context)
		return NULL;
	ssl->SSL_CTX_set_security_level(context, 0); /* or nothing old is offered at all */
	ssl->SSL_CTX_set_client_cert_cb(context, note_request);
	if (question->verify)
		ssl->SSL_CTX_set_default_verify_paths(context);
	offered = ssl->SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, number, NULL) &&
		  ssl->SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, number, NULL);
	if (offered && question->version == TLS_1_3)
		offered = ssl->SSL_CTX_set_ciphersuites(context, question->ciphers);
	else if (offered)
		offered = ssl->SSL_CTX_set_cipher_list(context, question->ciphers);
	if (offered && question->group)
		offered = ssl->SSL_CTX_ctrl(context, SSL_CTRL_SET_GROUPS_LIST, 0, (void *)question->group);
	if (offered)
		return context;
	ssl->SSL_CTX_free(context);
	return NULL;
}

/* Why a handshake did not come to its end, before a certificate was seen. */
static enum outcome outcome_of_error(const struct openssl *ssl)
{
	switch (ERR_GET_REASON(ssl->ERR_peek_error())) {
	case SSL_R_WRONG_VERSION_NUMBER: /* of a record, and what HTTP or SIP in clear looks like */
	case SSL_R_HTTP_REQUEST:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
	case SSL_R_BAD_RECORD_TYPE:
	case SSL_R_RECORD_LENGTH_MISMATCH:
	case SSL_R_UNEXPECTED_MESSAGE: /* an echo of the hello */
		return OUTCOME_NO_TLS;
	default:
		return OUTCOME_REFUSED;
	}
}

/* Runs the handshake on a connected socket. */
static enum outcome handshake(const struct probe *probe, SSL *connection, int fd)
{
	const struct openssl *ssl = probe->ssl;
	long long until = milliseconds() + probe->patience;
	int result, waiting;

	for (;;) {
		ssl->ERR_clear_error();
		result = ssl->SSL_connect(connection);
		if (result == 1)
			return OUTCOME_ACCEPTED;
		waiting = ssl->SSL_get_error(connection, result);
		if (waiting != SSL_ERROR_WANT_READ && waiting != SSL_ERROR_WANT_WRITE)
			return outcome_of_error(ssl);
		if (wait_for(fd, waiting == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until))
			return OUTCOME_SILENT;
	}
}

typedef void look(struct probe *probe, SSL *connection);

/* A server that wants a certificate of its clients has accepted all else by the time it says so. */
static bool has_answered(const struct openssl *ssl, SSL *connection)
{
	X509 *certificate = ssl->SSL_get1_peer_certificate(connection);

	ssl->X509_free(certificate);
	return certificate && ssl->SSL_get_current_cipher(connection);
}

static enum outcome ask_on(struct probe *probe, SSL_CTX *context, int fd, look *at)
{
	const struct openssl *ssl = probe->ssl;
	const struct tls_target *target = &probe->report->target;
	SSL *connection = ssl->SSL_new(context);
	enum outcome outcome = OUTCOME_UNOFFERED;

	certificate_wanted = false;
	if (!connection)
		return outcome;
	if (ssl->SSL_set_fd(connection, fd) &&
	    (target->by_address || ssl->SSL_ctrl(connection, SSL_CTRL_SET_TLSEXT_HOSTNAME,
						 TLSEXT_NAMETYPE_host_name, (void *)target->name)))
		outcome = handshake(probe, connection, fd);
	if (outcome == OUTCOME_REFUSED && certificate_wanted && has_answered(ssl, connection))
		outcome = OUTCOME_ACCEPTED;
	if (outcome == OUTCOME_ACCEPTED) {
		probe->report->asks_certificate |= certificate_wanted;
		at(probe, connection);
		ssl->SSL_shutdown(connection);
	}
	ssl->SSL_free(connection);
	return outcome;
}

static enum outcome ask(struct probe *probe, const struct question *question, look *at)
{
	SSL_CTX *context = make_context(probe, question);
	_cleanup_close_ int fd = -1;
	enum outcome outcome;

	if (!context)
		return OUTCOME_UNOFFERED;
	probe->connections++;
	fd = connect_any(probe);
	if (fd < 0) {
		probe->error = -fd;
		outcome = fd == -ETIMEDOUT && probe->connections > 1 ? OUTCOME_SILENT : OUTCOME_NO_CONNECTION;
	} else {
		outcome = ask_on(probe, context, fd, at);
	}
	probe->ssl->SSL_CTX_free(context);
	return outcome;
}

/* --- what is looked at --- */

/* The cipher that the server has chosen, behind those of its version that are known. */
static void note_cipher(struct probe *probe, SSL *connection)
{
	const struct openssl *ssl = probe->ssl;
	struct tls_offer *offer = probe->report->version;
	int number = ssl->SSL_version(connection);

	for (int version = TLS_1_0; version < TLS_VERSIONS; version++, offer++)
		if (numbers[version] == number && offer->ciphers < TLS_CIPHERS_MAX)
			snprintf(offer->cipher[offer->ciphers++], sizeof(offer->cipher[0]), "%s",
				 ssl->SSL_CIPHER_get_name(ssl->SSL_get_current_cipher(connection)));
}

/* Nothing that a server shows may steer a terminal or break JSON. */
static void copy_plain(char *to, size_t size, const void *from, size_t length)
{
	size_t i;

	for (i = 0; i < length && i + 1 < size; i++) {
		unsigned char byte = ((const unsigned char *)from)[i];

		to[i] = byte > 0x20 && byte < 0x7f ? (char)byte : '?';
	}
	to[i] = 0;
}

static void read_name(const struct openssl *ssl, const X509_NAME *name, char *text, size_t size)
{
	BIO *memory = ssl->BIO_new(ssl->BIO_s_mem());
	char *bytes;
	long length;

	if (!memory)
		return;
	ssl->X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253);
	length = ssl->BIO_ctrl(memory, BIO_CTRL_INFO, 0, &bytes);
	snprintf(text, size, "%.*s", length > 0 ? (int)length : 0, bytes);
	if (!text[0])
		snprintf(text, size, "nobody");
	ssl->BIO_free(memory);
}

static void add_alternative(const struct openssl *ssl, const GENERAL_NAME *alternative,
			    struct tls_certificate *certificate)
{
	int type;
	const ASN1_STRING *value = ssl->GENERAL_NAME_get0_value(alternative, &type);
	char *text = certificate->name[certificate->names];
	size_t size = sizeof(certificate->name[0]), length;
	const unsigned char *bytes;

	if (type != GEN_DNS && type != GEN_URI && type != GEN_IPADD)
		return;
	bytes = ssl->ASN1_STRING_get0_data(value);
	length = (size_t)ssl->ASN1_STRING_length(value);
	if (type != GEN_IPADD)
		copy_plain(text, size, bytes, length);
	else if ((length != 4 && length != 16) ||
		 !inet_ntop(length == 4 ? AF_INET : AF_INET6, bytes, text, (socklen_t)size))
		return;
	certificate->names++;
}

static void read_alternatives(const struct openssl *ssl, X509 *x509, struct tls_certificate *certificate)
{
	GENERAL_NAMES *names = ssl->X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
	int count = names ? ssl->OPENSSL_sk_num((const OPENSSL_STACK *)names) : 0;

	for (int i = 0; i < count && certificate->names < TLS_NAMES_MAX; i++)
		add_alternative(ssl, ssl->OPENSSL_sk_value((const OPENSSL_STACK *)names, i), certificate);
	ssl->GENERAL_NAMES_free(names);
}

static void read_times(const struct openssl *ssl, const X509 *x509, struct tls_certificate *certificate)
{
	int days = 0, seconds = 0;
	struct tm when = {};

	if (ssl->ASN1_TIME_diff(&days, &seconds, NULL, ssl->X509_get0_notAfter(x509)))
		certificate->days = days ? days : seconds < 0 ? -1 : 0;
	if (ssl->ASN1_TIME_to_tm(ssl->X509_get0_notAfter(x509), &when))
		strftime(certificate->expires, sizeof(certificate->expires), "%Y-%m-%d", &when);
	if (ssl->ASN1_TIME_diff(&days, &seconds, NULL, ssl->X509_get0_notBefore(x509)))
		certificate->not_yet = days > 0 || seconds > 0;
}

static void read_key(const struct openssl *ssl, const X509 *x509, struct tls_certificate *certificate)
{
	const EVP_PKEY *key = ssl->X509_get0_pubkey(x509);
	const char *type = key ? ssl->EVP_PKEY_get0_type_name(key) : NULL;
	const char *signature = ssl->OBJ_nid2sn(ssl->X509_get_signature_nid(x509));

	snprintf(certificate->key, sizeof(certificate->key), "%s", type ? type : "unknown");
	certificate->bits = key ? ssl->EVP_PKEY_get_bits(key) : 0;
	snprintf(certificate->signature, sizeof(certificate->signature), "%s",
		 signature ? signature : "unknown");
}

/* By name or address; a SIP domain may stand there as a URI too (RFC 5922, 7.1). */
static bool is_for(const struct openssl *ssl, X509 *x509, const struct tls_target *target,
		   const struct tls_certificate *certificate)
{
	if (target->by_address)
		return ssl->X509_check_ip_asc(x509, target->name, 0) == 1;
	for (size_t i = 0; i < certificate->names; i++)
		if (!strncasecmp(certificate->name[i], "sip:", 4) &&
		    !strcasecmp(certificate->name[i] + 4, target->name))
			return true;
	return ssl->X509_check_host(x509, target->name, 0, 0, NULL) == 1;
}

static void note_certificate(struct probe *probe, SSL *connection)
{
	const struct openssl *ssl = probe->ssl;
	struct tls_certificate *certificate = &probe->report->certificate;
	X509 *x509 = ssl->SSL_get1_peer_certificate(connection);
	long verified = ssl->SSL_get_verify_result(connection);

	note_cipher(probe, connection);
	if (!x509 || certificate->seen) {
		ssl->X509_free(x509);
		return;
	}
	certificate->seen = true;
	read_name(ssl, ssl->X509_get_subject_name(x509), certificate->subject, sizeof(certificate->subject));
	read_name(ssl, ssl->X509_get_issuer_name(x509), certificate->issuer, sizeof(certificate->issuer));
	read_alternatives(ssl, x509, certificate);
	read_times(ssl, x509, certificate);
	read_key(ssl, x509, certificate);
	certificate->matches = is_for(ssl, x509, &probe->report->target, certificate);
	certificate->self_signed = ssl->X509_self_signed(x509, 1) == 1;
	if (verified != X509_V_OK)
		snprintf(certificate->verify, sizeof(certificate->verify), "%s",
			 ssl->X509_verify_cert_error_string(verified));
	ssl->X509_free(x509);
}

static void note_group(struct probe *probe, SSL *connection)
{
	(void)connection;
	probe->report->groups++;
}

/* --- the questions --- */

static const char *const suites =
	"TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_128_CCM_SHA256:"
	"TLS_AES_128_CCM_8_SHA256";

static enum tls_answer answer_of(enum outcome outcome)
{
	switch (outcome) {
	case OUTCOME_ACCEPTED:
		return TLS_ACCEPTED;
	case OUTCOME_SILENT:
		return TLS_SILENT;
	case OUTCOME_UNOFFERED:
		return TLS_UNTESTED;
	default:
		return TLS_REFUSED;
	}
}

static int no_tls(const struct probe *probe, enum outcome outcome, struct problem *problem)
{
	const struct tls_target *target = &probe->report->target;

	if (outcome == OUTCOME_NO_CONNECTION && probe->error == ETIMEDOUT)
		return problem_set(problem, -ETIMEDOUT,
				   "%s port %s: no connection within %g s: nobody is there, or a "
				   "filter drops it",
				   target->host, target->port, probe->patience / 1000.0);
	if (outcome == OUTCOME_NO_CONNECTION)
		return problem_set(problem, -probe->error, "%s port %s: no connection: %s%s", target->host,
				   target->port, strerror(probe->error),
				   probe->error == ECONNREFUSED ? ": nobody listens on this port" : "");
	if (outcome == OUTCOME_SILENT)
		return problem_set(problem, -ETIMEDOUT,
				   "%s port %s: connected, but no answer to TLS within %g s: this "
				   "port speaks something else, or the server hangs",
				   target->host, target->port, probe->patience / 1000.0);
	if (outcome == OUTCOME_NO_TLS)
		return problem_set(problem, -EPROTO,
				   "%s port %s: connected, but what answers there is not TLS", target->host,
				   target->port);
	return problem_set(problem, -EPROTO,
			   "%s port %s: connected, but every version of TLS is refused: no certificate "
			   "there, or something before it closes",
			   target->host, target->port);
}

/*
 * Which versions are accepted; of each the cipher that the server prefers. Where two hellos in turn have no
 * answer at all there will be none.
 */
static int ask_versions(struct probe *probe, struct problem *problem)
{
	enum outcome outcome, worst = OUTCOME_REFUSED;
	bool any = false;
	int silent = 0;

	for (int version = TLS_1_3; version >= TLS_1_0; version--) {
		struct question question = {version, version == TLS_1_3 ? suites : ALL_CIPHERS, NULL, !any};

		outcome = ask(probe, &question, note_certificate);
		probe->report->version[version].answer = answer_of(outcome);
		any |= outcome == OUTCOME_ACCEPTED;
		silent += outcome == OUTCOME_SILENT;
		if (outcome == OUTCOME_NO_TLS || outcome == OUTCOME_SILENT)
			worst = outcome;
		if (!any && (outcome == OUTCOME_NO_CONNECTION || outcome == OUTCOME_NO_TLS || silent == 2))
			return no_tls(probe, outcome, problem);
	}
	return any ? 0 : no_tls(probe, worst, problem);
}

/* What to offer next: all but what has been chosen. False if nothing is left. */
static bool remaining(const struct tls_offer *offer, enum tls_version version, char *text, size_t size)
{
	size_t length = 0;

	if (version != TLS_1_3) {
		length = (size_t)snprintf(text, size, "%s", ALL_CIPHERS);
		for (size_t i = 0; i < offer->ciphers && length < size; i++)
			length += (size_t)snprintf(text + length, size - length, ":!%s", offer->cipher[i]);
		return length < size;
	}
	for (const char *at = suites; *at; at += strcspn(at, ":"), at += *at == ':') {
		int word = (int)strcspn(at, ":");
		bool known = false;

		for (size_t i = 0; i < offer->ciphers; i++)
			known |= !strncmp(at, offer->cipher[i], (size_t)word) && !offer->cipher[i][word];
		if (!known && length < size)
			length += (size_t)snprintf(text + length, size - length, "%s%.*s", length ? ":" : "",
						   word, at);
	}
	return length > 0 && length < size;
}

/* A server that chooses what was not offered would never come to an end: each answer must bring a new cipher.
 */
static void ask_ciphers(struct probe *probe, enum tls_version version)
{
	struct tls_offer *offer = &probe->report->version[version];
	char left[TLS_CIPHERS_MAX * 42];
	enum outcome outcome = OUTCOME_ACCEPTED;

	while (outcome == OUTCOME_ACCEPTED && offer->ciphers < TLS_CIPHERS_MAX &&
	       remaining(offer, version, left, sizeof(left))) {
		struct question question = {.version = version, .ciphers = left};

		if (is_over(probe))
			outcome = OUTCOME_SILENT;
		else
			outcome = ask(probe, &question, note_cipher);
	}
	offer->cut = outcome == OUTCOME_SILENT || outcome == OUTCOME_NO_CONNECTION;
}

/* Of TLS 1.3, and of the newest version before it, whose ciphers are those of the older ones and more. */
static void ask_all_ciphers(struct probe *probe)
{
	if (probe->report->version[TLS_1_3].answer == TLS_ACCEPTED)
		ask_ciphers(probe, TLS_1_3);
	for (int version = TLS_1_2; version >= TLS_1_0; version--)
		if (probe->report->version[version].answer == TLS_ACCEPTED) {
			ask_ciphers(probe, version);
			return;
		}
}

/* Groups one by one, by the newest version; those that this library does not know are left out. */
static void ask_groups(struct probe *probe)
{
	static const char *const groups[] = {"X25519MLKEM768", "X25519", "P-256", "P-384", "P-521", "X448"};
	struct question question = {.version = TLS_1_3, .ciphers = suites};

	if (probe->report->version[TLS_1_3].answer != TLS_ACCEPTED)
		question = (struct question){.version = TLS_1_2, .ciphers = "kECDHE"};
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups) && !is_over(probe); i++) {
		size_t before = probe->report->groups;

		question.group = groups[i];
		if (ask(probe, &question, note_group) == OUTCOME_ACCEPTED && probe->report->groups > before)
			snprintf(probe->report->group[before], sizeof(probe->report->group[0]), "%s",
				 groups[i]);
	}
}

/* What this library cannot offer, and so cannot find. */
static void note_library(struct probe *probe)
{
	const struct openssl *ssl = probe->ssl;
	const struct question question = {.version = TLS_1_2, .ciphers = ALL_CIPHERS};
	SSL_CTX *context = make_context(probe, &question);
	STACK_OF(SSL_CIPHER) *ciphers = context ? ssl->SSL_CTX_get_ciphers(context) : NULL;
	int count = ciphers ? ssl->OPENSSL_sk_num((const OPENSSL_STACK *)ciphers) : 0;
	const char *version = ssl->OpenSSL_version(OPENSSL_VERSION);

	probe->report->lacks_rc4 = probe->report->lacks_3des = true;
	for (int i = 0; i < count; i++) {
		const char *name =
			ssl->SSL_CIPHER_get_name(ssl->OPENSSL_sk_value((const OPENSSL_STACK *)ciphers, i));

		probe->report->lacks_rc4 &= !strstr(name, "RC4");
		probe->report->lacks_3des &= !strstr(name, "DES-CBC3");
	}
	ssl->SSL_CTX_free(context);
	snprintf(probe->report->library, sizeof(probe->report->library), "%.*s",
		 (int)strcspn(version + 8, " ") + 8,
		 version); /* "OpenSSL 3.0.19" of "OpenSSL 3.0.19 27 Jan 2026" */
}

int tls_probe(struct tls_report *report, int patience, struct problem *problem)
{
	struct probe probe = {.report = report, .patience = patience, .end = milliseconds() + TIME_MAX};
	int error = openssl_load(&probe.ssl, problem);

	/* The system's settings for its own programs would decide what is offered. */
	if (!error && !probe.ssl->OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL))
		error = problem_set(problem, -ENOMEM, "OpenSSL does not begin");
	if (!error)
		error = resolve(&probe, problem);
	if (error)
		return error;
	note_library(&probe);
	signal(SIGPIPE, SIG_IGN); /* a server may close while we write */
	error = ask_versions(&probe, problem);
	if (!error)
		ask_all_ciphers(&probe);
	if (!error)
		ask_groups(&probe);
	freeaddrinfo(probe.addresses);
	return error;
}
