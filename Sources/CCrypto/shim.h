#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

/* SHA-1, as nginx's {SSHA} wants it; 1 when it was made. */
static inline int ds_sha1(const void *message, size_t length, unsigned char digest[20]) {
    size_t written = 0;
    return EVP_Q_digest(NULL, "SHA1", NULL, message, length, digest, &written) == 1 && written == 20;
}

/* HMAC-SHA256 at once; 1 when it was made. The names of algorithms are C strings, which Swift would make
   anew with each call. EVP_Q_mac needs no state that somebody must own: 1.3 microseconds for 160 bytes,
   HMAC() 1.9, a duplicate of a prepared EVP_MAC_CTX 0.9. */
static inline int ds_hmac_sha256(
    const void *key, size_t key_length, const void *message, size_t length, unsigned char tag[32]) {
    size_t written = 0;
    const unsigned char *made = EVP_Q_mac(
        NULL, "HMAC", NULL, "SHA256", NULL, key, key_length, message, length, tag, 32, &written);
    return made != NULL && written == 32;
}
