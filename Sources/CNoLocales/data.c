#include <stdint.h>

/* Keeps ICU's 33 MB of locales, calendars and names of units out of each program.

   Foundation brings ICU, and the parser of YAML brings Foundation, for regular expressions of plain characters, whose
   tables are code. ICU may be without data: this is what its own "stub data" holds, a table of contents without entries,
   by the name that ICU 76 of Swift 6.3 looks for. With another ICU nobody looks for it, and programs have the data. */
struct table_of_contents {
    uint16_t header_size;
    uint8_t magic[2];
    uint16_t information_size, reserved;
    uint8_t big_endian, character_set, size_of_character, reserved_too;
    uint8_t format[4], format_version[4], data_version[4];
    uint8_t padding[8];
    uint32_t count, end[5];
};

const _Alignas(16) struct table_of_contents icudt76_dat = {
    .header_size = 32,
    .magic = {0xda, 0x27},
    .information_size = 20,
    .big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__,
    .size_of_character = 2,
    .format = {'T', 'o', 'C', 'P'},
    .format_version = {1},
};
