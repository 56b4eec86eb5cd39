// Reads protobuf messages in place: what is skipped is never touched, so a file of gigabytes costs its field headers
// only.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>

namespace interleave::graph {

// The bytes are no message that this reader understands.
class WireError : public std::runtime_error {
 public:
  WireError() : std::runtime_error("the file is damaged or no ONNX model") {}
};

enum class WireType : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  std::uint32_t number = 0;
  WireType type = WireType::kVarint;
  std::uint64_t value = 0;   // of varints and fixed sizes
  std::string_view bytes{};  // of kBytes
  std::string_view all{};    // with key and length

  std::string_view Bytes() const { return type == WireType::kBytes ? bytes : throw WireError(); }
  std::int64_t Int() const { return type == WireType::kVarint ? static_cast<std::int64_t>(value) : throw WireError(); }
  float Float() const {
    if (type != WireType::kFixed32) throw WireError();
    const auto bits = static_cast<std::uint32_t>(value);
    float number;
    std::memcpy(&number, &bits, sizeof(number));
    return number;
  }
};

// The fields of one message, in order. Throws WireError at the first byte that cannot be.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : bytes_(bytes) {}

  bool Next(Field& field) {
    if (bytes_.empty()) return false;
    const std::string_view start = bytes_;
    const std::uint64_t key = Varint();
    if (key >> 3 == 0 || key >> 32 != 0) throw WireError();
    field = {.number = static_cast<std::uint32_t>(key >> 3), .type = static_cast<WireType>(key & 7U)};
    ReadContent(field);
    field.all = start.substr(0, start.size() - bytes_.size());
    return true;
  }

  // One element of a packed list of integers.
  std::uint64_t Varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(Take(1)[0]);
      value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
      if (byte < 0x80) return value;
    }
    throw WireError();
  }
  std::uint64_t Fixed(std::size_t size) {
    std::uint64_t value = 0;
    std::memcpy(&value, Take(size).data(), size);
    return value;
  }
  bool AtEnd() const { return bytes_.empty(); }

 private:
  void ReadContent(Field& field) {
    switch (field.type) {
      case WireType::kVarint:
        field.value = Varint();
        return;
      case WireType::kFixed64:
        field.value = Fixed(8);
        return;
      case WireType::kFixed32:
        field.value = Fixed(4);
        return;
      case WireType::kBytes:
        field.bytes = Take(Varint());
        return;
    }
    throw WireError();
  }
  std::string_view Take(std::uint64_t size) {
    if (size > bytes_.size()) throw WireError();
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }

  std::string_view bytes_;
};

}  // namespace interleave::graph
