/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The functions of OpenSSL that `doctor tls` calls, looked up when it runs: to link them would cost every
 * other command two milliseconds at its start. Only this and doctor_tls_probe.c know OpenSSL.
 */
#ifndef OPENSSL_H
#define OPENSSL_H

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "problem.h"

#define OPENSSL_FUNCTIONS(X)                                                                                 \
	X(ASN1_STRING_get0_data)                                                                             \
	X(ASN1_STRING_length)                                                                                \
	X(ASN1_TIME_diff)                                                                                    \
	X(ASN1_TIME_to_tm)                                                                                   \
	X(BIO_ctrl)                                                                                          \
	X(BIO_free)                                                                                          \
	X(BIO_new)                                                                                           \
	X(BIO_s_mem)                                                                                         \
	X(ERR_clear_error)                                                                                   \
	X(ERR_peek_error)                                                                                    \
	X(EVP_PKEY_get0_type_name)                                                                           \
	X(EVP_PKEY_get_bits)                                                                                 \
	X(GENERAL_NAMES_free)                                                                                \
	X(GENERAL_NAME_get0_value)                                                                           \
	X(OBJ_nid2sn)                                                                                        \
	X(OPENSSL_init_ssl)                                                                                  \
	X(OPENSSL_sk_num)                                                                                    \
	X(OPENSSL_sk_value)                                                                                  \
	X(OpenSSL_version)                                                                                   \
	X(SSL_CIPHER_get_name)                                                                               \
	X(SSL_CTX_ctrl)                                                                                      \
	X(SSL_CTX_free)                                                                                      \
	X(SSL_CTX_get_ciphers)                                                                               \
	X(SSL_CTX_new)                                                                                       \
	X(SSL_CTX_set_cipher_list)                                                                           \
	X(SSL_CTX_set_ciphersuites)                                                                          \
	X(SSL_CTX_set_client_cert_cb)                                                                        \
	X(SSL_CTX_set_default_verify_paths)                                                                  \
	X(SSL_CTX_set_security_level)                                                                        \
	X(SSL_connect)                                                                                       \
	X(SSL_ctrl)                                                                                          \
	X(SSL_free)                                                                                          \
	X(SSL_get1_peer_certificate)                                                                         \
	X(SSL_get_current_cipher)                                                                            \
	X(SSL_get_error)                                                                                     \
	X(SSL_get_verify_result)                                                                             \
	X(SSL_group_to_name)                                                                                 \
	X(SSL_new)                                                                                           \
	X(SSL_set_fd)                                                                                        \
	X(SSL_shutdown)                                                                                      \
	X(SSL_version)                                                                                       \
	X(TLS_client_method)                                                                                 \
	X(X509_NAME_print_ex)                                                                                \
	X(X509_check_host)                                                                                   \
	X(X509_check_ip_asc)                                                                                 \
	X(X509_free)                                                                                         \
	X(X509_get0_notAfter)                                                                                \
	X(X509_get0_notBefore)                                                                               \
	X(X509_get0_pubkey)                                                                                  \
	X(X509_get_ext_d2i)                                                                                  \
	X(X509_get_issuer_name)                                                                              \
	X(X509_get_signature_nid)                                                                            \
	X(X509_get_subject_name)                                                                             \
	X(X509_self_signed)                                                                                  \
	X(X509_verify_cert_error_string)

struct openssl {
#define X(name) __typeof__(name) *name;
	OPENSSL_FUNCTIONS(X)
#undef X
};

/* Looks them up, once a process; -ELIBACC with a problem where the library is missing or another one. */
int openssl_load(const struct openssl **openssl, struct problem *problem);

#endif
