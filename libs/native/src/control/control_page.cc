#include "control/control_page.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "channel/fd.h"

namespace interleave {

MappedControlPage::MappedControlPage(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  // Any other process that is first sets the same size.
  if (!fd.valid()) throw std::system_error(errno, std::generic_category(), path);
  // Not a hole: on a full disk the first write to it would end the process.
  if (const int error = posix_fallocate(fd.get(), 0, kControlPageBytes); error != 0) {
    throw std::system_error(error, std::generic_category(), path);
  }
  void* data = mmap(nullptr, kControlPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) throw std::system_error(errno, std::generic_category(), path);
  page_ = static_cast<ControlPage*>(data);
}

MappedControlPage::MappedControlPage(MappedControlPage&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}

MappedControlPage& MappedControlPage::operator=(MappedControlPage&& other) noexcept {
  std::swap(page_, other.page_);
  return *this;
}

MappedControlPage::~MappedControlPage() {
  if (page_ != nullptr) munmap(page_, kControlPageBytes);
}

}  // namespace interleave
