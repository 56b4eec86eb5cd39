#include "channel/region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace interleave {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW;

[[noreturn]] void ThrowErrno(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

std::byte* Map(int fd, std::uint64_t bytes) {
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return data == MAP_FAILED ? nullptr : static_cast<std::byte*>(data);
}

struct Constants {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t ringCapacity;
  std::uint64_t regionBytes;
  std::uint64_t arenaOffset;
  std::uint64_t arenaBytes;
  bool operator==(const Constants&) const = default;
};
static_assert(sizeof(Constants) == offsetof(RegionHeader, unused));

Constants ConstantsFor(const RegionSize& size) {
  const std::uint64_t arenaOffset = LayoutFor(size.ringCapacity).arenaOffset;
  return {kRegionMagic,     kChannelVersion, size.ringCapacity,
          size.regionBytes, arenaOffset,     size.regionBytes - arenaOffset};
}

}  // namespace

bool IsRegionSize(const RegionSize& size) {
  if (!IsRingCapacity(size.ringCapacity)) return false;
  const std::uint64_t arenaOffset = LayoutFor(size.ringCapacity).arenaOffset;
  return size.regionBytes % kPageBytes == 0 && size.regionBytes > arenaOffset &&
         size.regionBytes - arenaOffset <= kArenaBytesMax;
}

Region Region::Create(std::uint32_t ringCapacity, std::uint64_t arenaBytes, Fd& fd) {
  if (!IsRingCapacity(ringCapacity) || arenaBytes > kArenaBytesMax) {
    throw std::system_error(EINVAL, std::generic_category(), "size of the channel's region");
  }
  const RegionSize size{LayoutFor(ringCapacity).arenaOffset + AlignUp(arenaBytes, kPageBytes), ringCapacity};
  Fd memory(memfd_create("interleave-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.valid()) ThrowErrno("memfd_create");
  if (ftruncate(memory.get(), static_cast<off_t>(size.regionBytes)) != 0) ThrowErrno("ftruncate");
  if (fcntl(memory.get(), F_ADD_SEALS, kSeals) != 0) ThrowErrno("F_ADD_SEALS");
  std::byte* data = Map(memory.get(), size.regionBytes);
  if (data == nullptr) ThrowErrno("mmap");
  CopyOut(data, ConstantsFor(size));
  fd = std::move(memory);
  return Region(data, size);
}

Region Region::Open(const Fd& fd, const RegionSize& size, std::string& error) {
  if (!IsRegionSize(size)) {
    error = "region size is not acceptable";
    return {};
  }
  const int seals = fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) {
    error = "expected a memfd sealed against shrinking and growing";
    return {};
  }
  struct stat status {};
  if (fstat(fd.get(), &status) != 0 || static_cast<std::uint64_t>(status.st_size) != size.regionBytes) {
    error = "expected a region of " + std::to_string(size.regionBytes) + " bytes but received " +
            std::to_string(status.st_size);
    return {};
  }
  Region region(Map(fd.get(), size.regionBytes), size);
  if (!region.valid()) {
    error = "the region cannot be mapped for writing";
    return {};
  }
  if (CopyIn<Constants>(region.data_) != ConstantsFor(size)) {
    error = "the region's header does not agree with the handshake";
    return {};
  }
  return region;
}

Region::Region(Region&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}

Region& Region::operator=(Region&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Region::~Region() {
  if (data_ != nullptr) munmap(data_, size_.regionBytes);
}

}  // namespace interleave
