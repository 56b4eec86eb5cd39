// Numbers as JavaScript writes them in JSON.
#pragma once

#include <cstddef>
#include <span>

namespace interleave {

// "-0.0000012345678901234567," is the longest that a double takes, with its comma.
inline constexpr std::size_t kNumberCharactersMax = 26;

// Writes the digits of `value` as JSON.stringify does, to the last character, which takes it as a double; null where it
// is not finite. Precondition: room for kNumberCharactersMax characters. Returns the end.
char* WriteNumber(float value, char* target);

// Writes `[1,0.5]`. Precondition: room for 2 + values.size() * kNumberCharactersMax characters.
char* WriteNumbers(std::span<const float> values, char* target);

}  // namespace interleave
