#include "session/strings.h"

#include <bit>
#include <cstring>

namespace interleave {

static_assert(std::endian::native == std::endian::little, "encoded strings and tensors are little-endian");

bool DecodeStrings(const std::byte* data, std::size_t size, std::size_t count, StringElements& strings) {
  strings.bytes.assign(data, data + size);
  strings.views.clear();
  const char* next = reinterpret_cast<const char*>(strings.bytes.data());
  std::size_t left = size;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t length = 0;
    if (left < sizeof(length)) return false;
    std::memcpy(&length, next, sizeof(length));
    left -= sizeof(length);
    if (left < length) return false;
    strings.views.emplace_back(next + sizeof(length), length);
    next += sizeof(length) + length;
    left -= length;
  }
  return left == 0;
}

std::byte* EncodeString(std::byte* to, std::string_view element) {
  const auto length = static_cast<std::uint32_t>(element.size());
  std::memcpy(to, &length, sizeof(length));
  if (length > 0) std::memcpy(to + sizeof(length), element.data(), length);
  return to + sizeof(length) + length;
}

}  // namespace interleave
