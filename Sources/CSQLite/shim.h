#include <sqlite3.h>

/* sqlite3.h spells these destructors as casts of integers to function pointers, which Swift does
   not import. */
static inline int ds_sqlite3_bind_blob_static(sqlite3_stmt *s, int i, const void *p, sqlite3_uint64 n) {
    return sqlite3_bind_blob64(s, i, p, n, SQLITE_STATIC);
}
static inline int ds_sqlite3_bind_text_transient(sqlite3_stmt *s, int i, const unsigned char *p, int n) {
    return sqlite3_bind_text(s, i, n ? (const char *)p : "", n, SQLITE_TRANSIENT);
}

/* Codes that sqlite3.h computes are no constants in Swift. */
static const int ds_sqlite3_ioerr_shmsize = SQLITE_IOERR_SHMSIZE;

/* Variadic functions are not imported either. */
static inline int ds_sqlite3_no_checkpoint_on_close(sqlite3 *db) {
    return sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
}

/* Syncs the database file through the connection's own descriptor: to close another one of the same file would
   release all locks of this process (fcntl(2)). */
static inline int ds_sqlite3_sync_database(sqlite3 *db) {
    sqlite3_file *file = 0;
    int code = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (code != SQLITE_OK || !file || !file->pMethods) return code;
    return file->pMethods->xSync(file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
}

/* Statistics of SQLite's allocator cost a mutex with each allocation. Before the first connection only. */
static inline int ds_sqlite3_without_statistics(void) {
    return sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* The first page of the write-ahead log's index, mapped while the connection is open; null before it has read anything.
   Its first 48 bytes are other ones behind each commit of any process (https://sqlite.org/walformat.html, section 2.2). */
static inline const void *ds_sqlite3_wal_index(sqlite3 *db) {
    sqlite3_file *file = 0;
    volatile void *page = 0;
    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK) return 0;
    if (!file || !file->pMethods || file->pMethods->iVersion < 2 || !file->pMethods->xShmMap) return 0;
    if (file->pMethods->xShmMap(file, 0, 32768, 0, &page) != SQLITE_OK) return 0;
    return (const void *)page;
}
