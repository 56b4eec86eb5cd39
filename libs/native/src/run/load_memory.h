// Whether the memory that a load takes is there, and how much of it the load has taken so far.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "isolation/memory_limit.h"
#include "run/loaders.h"

namespace interleave {

// "3.2 GiB", "340 MiB".
std::string BytesText(std::int64_t bytes);

// Of this process, as its memory limit counts it; 0: cannot be read.
std::int64_t ResidentBytes();

struct LoadMemoryOptions {
  std::int64_t limitBytes = 0;  // of this process; 0: what the machine has left
  std::int64_t (*resident)() = ResidentBytes;
  ReadMachine machine = ReadMachineMemory;
};

// Loads under way are counted with all that they will take, so that two of them cannot both count on the same bytes.
// Without a limit of the process, only a load after which LimitMemory would end the process has no room. Thread-safe.
class LoadMemory {
 public:
  explicit LoadMemory(LoadMemoryOptions options);

  struct Room {
    std::int64_t freeBytes = 0;
    bool isOfMachine = false;
  };

  // Takes the bytes for the load of this loader and returns true, or says how many there are. 0 bytes: not known, taken
  // in any case.
  bool Begin(std::size_t loader, std::int64_t needBytes, Room& room);
  // The load of this loader is over. Idempotent.
  void End(std::size_t loader);

 private:
  const LoadMemoryOptions options_;
  std::mutex mutex_;
  std::array<std::int64_t, kLoadersMax> endBytes_{};  // resident at the end of each load; 0: none
};

// One of the models that are loaded, as something to unload.
struct LoadedNeed {
  std::string name;
  std::int64_t needBytes = 0;
};

// Why a model is not loaded, and what would make it fit.
std::string NoRoomText(const std::string& model, std::int64_t needBytes, const LoadMemory::Room& room,
                       std::int64_t limitBytes, const std::vector<LoadedNeed>& loaded);

}  // namespace interleave
