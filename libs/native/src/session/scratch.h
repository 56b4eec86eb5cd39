// Memory that an executor keeps from run to run.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace interleave {

// A grow-only buffer, 64-byte aligned; what an outsized run needed is given back after it.
class Scratch {
 public:
  static constexpr std::size_t kAlignment = 64;
  static constexpr std::size_t kKeptBytesMax = std::size_t{64} << 20;

  static constexpr std::size_t Aligned(std::size_t bytes) { return (bytes + kAlignment - 1) & ~(kAlignment - 1); }

  // At least `bytes` bytes, never nullptr; the contents are undefined. Invalidates what was reserved before.
  std::byte* Reserve(std::size_t bytes) {
    if (bytes > size_ || !buffer_) {
      buffer_.reset();
      size_ = Aligned(bytes + bytes / 4 + kAlignment);
      buffer_.reset(static_cast<std::byte*>(::operator new (size_, std::align_val_t{kAlignment})));
    }
    return buffer_.get();
  }

  // Called between runs.
  void Trim() {
    if (size_ <= kKeptBytesMax) return;
    buffer_.reset();
    size_ = 0;
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const { ::operator delete (memory, std::align_val_t{kAlignment}); }
  };
  std::unique_ptr<std::byte, Free> buffer_;
  std::size_t size_ = 0;
};

}  // namespace interleave
