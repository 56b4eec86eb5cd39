#include "channel/client.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace interleave {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void Throw(ChannelErrorCode code, const std::string& message) { throw ChannelError(code, message); }

Fd ConnectTo(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) Throw(ChannelErrorCode::kInvalid, "socket path " + path);
  std::memcpy(address.sun_path, path.data(), path.size());
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) Throw(ChannelErrorCode::kUnreachable, std::string("socket: ") + std::strerror(errno));
  // On a Unix socket this succeeds or fails at once; EAGAIN means that the worker's backlog is full.
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    Throw(ChannelErrorCode::kUnreachable, "connect " + path + ": " + std::strerror(errno));
  }
  return fd;
}

void ReceiveExactly(int socket, char* target, std::size_t bytes, Clock::time_point deadline) {
  while (bytes > 0) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd entry{socket, POLLIN, 0};
    if (left <= 0 || poll(&entry, 1, static_cast<int>(left)) == 0) {
      Throw(ChannelErrorCode::kTimeout, "the worker did not answer the handshake in time");
    }
    const long received = recv(socket, target, bytes, MSG_DONTWAIT);
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (received <= 0) Throw(ChannelErrorCode::kUnreachable, "the worker closed the connection during the handshake");
    target += received;
    bytes -= static_cast<std::size_t>(received);
  }
}

std::string ReceiveWelcome(int socket, Clock::time_point deadline) {
  std::uint32_t length = 0;
  ReceiveExactly(socket, reinterpret_cast<char*>(&length), sizeof length, deadline);
  if (length < sizeof(Welcome) || length > sizeof(Welcome) + kTextBytesMax) {
    Throw(ChannelErrorCode::kProtocol, "the worker's welcome has an impossible length");
  }
  std::string message(length, '\0');
  ReceiveExactly(socket, message.data(), length, deadline);
  Welcome welcome{};
  std::memcpy(&welcome, message.data(), sizeof welcome);
  std::string text = message.substr(sizeof welcome);
  if (welcome.magic != kMessageMagic) Throw(ChannelErrorCode::kProtocol, "not a worker at the other end of the socket");
  if (welcome.status != WelcomeStatus::kAccepted) Throw(ChannelErrorCode::kRefused, text);
  if (welcome.version != kChannelVersion) Throw(ChannelErrorCode::kProtocol, "the worker uses another channel version");
  return text;
}

// Copying this much takes longer than getting its pages again.
constexpr std::uint64_t kGivenBackBytesMin = 4U << 20;

// Returns the pages of shared memory that lie wholly within to the system; they read as zeros afterwards.
void GiveBack(std::byte* data, std::uint64_t bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  const std::uintptr_t begin = AlignUp(address, kPageBytes);
  const std::uintptr_t end = (address + bytes) / kPageBytes * kPageBytes;
  // Refused on a kernel or file system without it: then they stay, as those of small items do.
  if (end > begin) static_cast<void>(madvise(data + (begin - address), end - begin, MADV_REMOVE));
}

std::uint64_t ResponseBlockBytes(const Request& request) {
  return AlignUp(std::max<std::uint64_t>(request.responseBytes, kResponseBytesMin), kLineBytes);
}

std::uint64_t SlotBytes(const Request& request, int item) {
  if (request.responseBytes > kArenaBytesMax) {
    throw ChannelError(ChannelErrorCode::kTooLarge, "a response of " + std::to_string(request.responseBytes) + " bytes",
                       item);
  }
  return RequestBytes(request) + ResponseBlockBytes(request);
}

}  // namespace

std::unique_ptr<ChannelClient> ChannelClient::Connect(const ChannelClientOptions& options) {
  if (options.itemsMax == 0 || options.itemsMax > kRingCapacityMax || options.arenaBytes == 0 ||
      options.arenaBytes > kArenaBytesMax) {
    Throw(ChannelErrorCode::kInvalid, "size of the channel: " + std::to_string(options.itemsMax) + " items, " +
                                          std::to_string(options.arenaBytes) + " bytes");
  }
  const auto deadline = Clock::now() + options.timeout;
  Fd socket = ConnectTo(options.socketPath);
  Fd memory;
  Region region;
  try {
    region = Region::Create(std::bit_ceil(options.itemsMax), options.arenaBytes, memory);
  } catch (const std::system_error& error) {
    Throw(ChannelErrorCode::kUnreachable, error.what());
  }
  const Hello hello{kMessageMagic, kChannelVersion, static_cast<std::uint32_t>(getpid()), region.size().ringCapacity,
                    region.size().regionBytes};
  if (!SendMessage(socket.get(), {reinterpret_cast<const char*>(&hello), sizeof hello}, memory)) {
    Throw(ChannelErrorCode::kUnreachable, "the worker closed the connection");
  }
  std::string text = ReceiveWelcome(socket.get(), deadline);
  return std::unique_ptr<ChannelClient>(
      new ChannelClient(std::move(socket), std::move(region), options.itemsMax, std::move(text)));
}

ChannelClient::ChannelClient(Fd socket, Region region, std::uint32_t itemsMax, std::string welcomeText)
    : socket_(std::move(socket)),
      region_(std::move(region)),
      itemsMax_(itemsMax),
      welcomeText_(std::move(welcomeText)),
      arena_(region_.arenaBytes()),
      submissions_(region_.submissionCells(), LayoutFor(region_.size().ringCapacity).submissionCapacity,
                   &region_.header()->submissionHead.word, &region_.header()->submissionTail.word),
      completions_(region_.completionCells(), region_.size().ringCapacity, &region_.header()->completionHead.word,
                   &region_.header()->completionTail.word),
      sleep_(&region_.header()->clientSleep.word),
      workerWaker_(&region_.header()->workerSleep.word) {
  sleep_.Sleep();
}

void ChannelClient::Check(std::span<const Request> requests) const {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const Request& request = requests[i];
    const int item = static_cast<int>(i);
    if (request.inputs.size() > kTensorsMax) {
      throw ChannelError(ChannelErrorCode::kInvalid, "expected at most " + std::to_string(kTensorsMax) + " inputs",
                         item);
    }
    std::uint64_t seen = 0;
    for (const TensorView& input : request.inputs) {
      if (input.index >= kTensorsMax || (seen >> input.index & 1) != 0) {
        throw ChannelError(ChannelErrorCode::kInvalid,
                           "input " + std::to_string(input.index) + " is out of range or twice there", item);
      }
      seen |= std::uint64_t{1} << input.index;
      if (IsTensorSize(input.type, input.shape, input.bytes)) continue;
      throw ChannelError(ChannelErrorCode::kInvalid,
                         "input " + std::to_string(input.index) + ": " + std::to_string(input.bytes) +
                             " bytes do not match its type and shape",
                         item);
    }
    const std::uint64_t bytes = SlotBytes(request, item);
    if (bytes > arena_.totalBytes()) {
      throw ChannelError(ChannelErrorCode::kTooLarge,
                         "the item needs " + std::to_string(bytes) + " bytes but the channel has " +
                             std::to_string(arena_.totalBytes()),
                         item);
    }
    total += bytes;
  }
  if (total > arena_.totalBytes() || requests.size() > itemsMax_) {
    throw ChannelError(ChannelErrorCode::kTooLarge, std::to_string(requests.size()) + " items with " +
                                                        std::to_string(total) + " bytes do not fit a channel of " +
                                                        std::to_string(itemsMax_) + " items and " +
                                                        std::to_string(arena_.totalBytes()) + " bytes");
  }
}

bool ChannelClient::Allocate(std::span<const Request> requests, std::vector<Slot>& slots) {
  slots.reserve(requests.size());
  for (const Request& request : requests) {
    const std::uint64_t requestBytes = RequestBytes(request);
    const std::uint64_t responseBytes = ResponseBlockBytes(request);
    const auto offset = arena_.Allocate(requestBytes + responseBytes);
    if (!offset) {
      for (const Slot& slot : slots) arena_.Free(slot.offset, slot.requestBytes + slot.responseBytes);
      return false;
    }
    slots.push_back({*offset, requestBytes, responseBytes, false, false});
  }
  return true;
}

bool ChannelClient::Submit(std::span<const Request> requests, std::vector<std::uint64_t>& itemIds) {
  Check(requests);
  if (requests.size() > itemsMax_ - std::min<std::size_t>(itemsMax_, slots_.size())) return false;
  const auto room = submissions_.Room(static_cast<std::uint32_t>(requests.size()));
  if (!room) Throw(ChannelErrorCode::kProtocol, "the worker's position in the submission ring is impossible");
  if (*room < requests.size()) return false;
  std::vector<Slot> slots;
  if (!Allocate(requests, slots)) return false;
  itemIds.clear();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const std::uint64_t itemId = nextItemId_++;
    const Slot& slot = slots[i];
    WriteRequest(RequestBlock(slot), itemId, requests[i]);
    InitResponse(ResponseBlock(slot));
    submissions_.Write({itemId, slot.offset, slot.requestBytes, slot.offset + slot.requestBytes, slot.responseBytes,
                        CellKind::kSubmit, 0});
    slots_.emplace(itemId, slot);
    itemIds.push_back(itemId);
  }
  PublishSubmissions();
  return true;
}

void ChannelClient::Cancel(std::uint64_t itemId) {
  const auto slot = slots_.find(itemId);
  if (slot == slots_.end() || slot->second.cancelled) return;
  // Without room the item simply runs: half of the ring is for cancels, so this takes a worker that has stopped
  // reading.
  if (submissions_.Room(1).value_or(0) == 0) return;
  slot->second.cancelled = true;
  submissions_.Write({itemId, 0, 0, 0, 0, CellKind::kCancel, 0});
  PublishSubmissions();
}

void ChannelClient::PublishSubmissions() {
  submissions_.Publish();
  if (!workerWaker_.ShouldRing()) return;
  // A full socket buffer already wakes the worker, and a closed one is reported to whoever reads it.
  [[maybe_unused]] const auto sent = send(socket_.get(), &kFrameDoorbell, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void ChannelClient::Receive(std::string_view bytes, std::vector<std::string>& texts) {
  if (!parser_.Push(bytes, texts)) Throw(ChannelErrorCode::kProtocol, "the worker sent an unknown frame");
  sleep_.Rung();
}

std::optional<ChannelClient::Completion> ChannelClient::NextCompletion() {
  auto available = completions_.Available();
  if (available == 0u) {
    if (sleep_.asleep()) return std::nullopt;
    sleep_.Sleep();
    available = completions_.Available();
    if (available == 0u) return std::nullopt;
  }
  if (!available) Throw(ChannelErrorCode::kProtocol, "the worker's position in the completion ring is impossible");
  if (sleep_.asleep()) sleep_.Wake();
  const std::uint64_t itemId = completions_.Read().itemId;
  completions_.Release();
  const auto slot = slots_.find(itemId);
  if (slot == slots_.end() || slot->second.taken)
    Throw(ChannelErrorCode::kProtocol, "the worker completed an unknown item");
  return Complete(itemId, slot->second);
}

ChannelClient::Completion ChannelClient::Complete(std::uint64_t itemId, Slot& slot) {
  const Block block = ResponseBlock(slot);
  auto response = ReadResponseState(block) == ResponseState::kDone ? ReadResponse(block) : std::nullopt;
  if (!response) Throw(ChannelErrorCode::kProtocol, "the worker sent a malformed response block");
  slot.taken = true;
  return {itemId, std::move(*response)};
}

void ChannelClient::FreeCompletion(std::uint64_t itemId) {
  const auto slot = slots_.find(itemId);
  const std::uint64_t bytes = slot->second.requestBytes + slot->second.responseBytes;
  if (bytes >= kGivenBackBytesMin) GiveBack(region_.arena() + slot->second.offset, bytes);
  arena_.Free(slot->second.offset, bytes);
  slots_.erase(slot);
}

std::optional<ChannelClient::Completion> ChannelClient::NextOrphan() {
  for (auto& [itemId, slot] : slots_) {
    if (slot.taken || ReadResponseState(ResponseBlock(slot)) != ResponseState::kDone) continue;
    return Complete(itemId, slot);
  }
  return std::nullopt;
}

std::vector<ItemInFlight> ChannelClient::ItemsInFlight() const {
  std::vector<ItemInFlight> items;
  for (const auto& [itemId, slot] : slots_) {
    if (!slot.taken) items.push_back({itemId, ReadResponseState(ResponseBlock(slot))});
  }
  std::sort(items.begin(), items.end(), [](const auto& a, const auto& b) { return a.itemId < b.itemId; });
  return items;
}

}  // namespace interleave
