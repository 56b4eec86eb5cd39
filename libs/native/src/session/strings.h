// String tensors as they travel: each element a uint32 length (little-endian) followed by that many bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace interleave {

// A private copy of an encoded string tensor and its elements; the views point into the copy.
struct StringElements {
  std::vector<std::byte> bytes;
  std::vector<std::string_view> views;
};

// Copies `size` bytes first (the client may change its memory meanwhile), then splits the copy. False when it does not
// hold exactly `count` elements.
bool DecodeStrings(const std::byte* data, std::size_t size, std::size_t count, StringElements& strings);

constexpr std::size_t EncodedBytes(std::string_view element) { return sizeof(std::uint32_t) + element.size(); }

// Writes one element and returns where the next one goes.
std::byte* EncodeString(std::byte* to, std::string_view element);

}  // namespace interleave
