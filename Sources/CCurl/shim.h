/* Its checks of types are for options that are constants in the call, which the functions below are not. */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

/* curl_easy_setopt and curl_easy_getinfo are variadic, which Swift does not import: one function for each type. */
static inline CURLcode ds_curl_set_long(CURL *curl, CURLoption option, long value) {
    return curl_easy_setopt(curl, option, value);
}
static inline CURLcode ds_curl_set_size(CURL *curl, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(curl, option, value);
}
/* libcurl copies the text. */
static inline CURLcode ds_curl_set_text(CURL *curl, CURLoption option, const char *value) {
    return curl_easy_setopt(curl, option, value);
}
static inline CURLcode ds_curl_set_pointer(CURL *curl, CURLoption option, void *value) {
    return curl_easy_setopt(curl, option, value);
}

typedef size_t (*ds_curl_data_function)(char *data, size_t size, size_t count, void *context);
typedef int (*ds_curl_seek_function)(void *context, curl_off_t offset, int origin);
typedef int (*ds_curl_progress_function)(
    void *context, curl_off_t to_receive, curl_off_t received, curl_off_t to_send, curl_off_t sent);
typedef int (*ds_curl_debug_function)(CURL *curl, curl_infotype type, char *text, size_t length, void *context);

/* For CURLOPT_WRITEFUNCTION, CURLOPT_HEADERFUNCTION and CURLOPT_READFUNCTION. */
static inline CURLcode ds_curl_set_data_function(CURL *curl, CURLoption option, ds_curl_data_function value) {
    return curl_easy_setopt(curl, option, value);
}
static inline CURLcode ds_curl_set_seek_function(CURL *curl, ds_curl_seek_function value) {
    return curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, value);
}
static inline CURLcode ds_curl_set_progress_function(CURL *curl, ds_curl_progress_function value) {
    return curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, value);
}
static inline CURLcode ds_curl_set_debug_function(CURL *curl, ds_curl_debug_function value) {
    return curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, value);
}

static inline CURLcode ds_curl_get_long(CURL *curl, CURLINFO info, long *value) {
    return curl_easy_getinfo(curl, info, value);
}
/* Microseconds or bytes. */
static inline CURLcode ds_curl_get_size(CURL *curl, CURLINFO info, curl_off_t *value) {
    return curl_easy_getinfo(curl, info, value);
}
/* The text belongs to the handle, until its next transfer. */
static inline CURLcode ds_curl_get_text(CURL *curl, CURLINFO info, const char **value) {
    return curl_easy_getinfo(curl, info, value);
}
static inline CURLcode ds_curl_get_certificates(CURL *curl, struct curl_certinfo **value) {
    return curl_easy_getinfo(curl, CURLINFO_CERTINFO, value);
}

/* A macro that Swift does not see. */
static inline CURLcode ds_curl_global_init(void) { return curl_global_init(CURL_GLOBAL_ALL); }
