#include "binding/net.h"

#include <system_error>

#include "binding/convert.h"
#include "net/listening_socket.h"

namespace interleave::binding {
namespace {

constexpr double kPortMax = 65'535;
constexpr double kBacklogMax = 65'535;

// `code` is the number of the system's error, so that JavaScript can name it.
Napi::Error SystemError(Napi::Env env, const std::system_error& error) {
  Napi::Error thrown = Napi::Error::New(env, error.what());
  thrown.Value().Set("errno", Napi::Number::New(env, error.code().value()));
  return thrown;
}

int IntOf(const Napi::Object& options, const char* key, double max) {
  return static_cast<int>(IntegerOf(options, key, max));
}

}  // namespace

Napi::Value ListeningSocketOpen(const Napi::CallbackInfo& info) {
  const Napi::Object options = ObjectOf(info[0], "options");
  const ListenAddress address{.ip = StringOf(options, "ip"), .port = IntOf(options, "port", kPortMax)};
  try {
    return Napi::Number::New(info.Env(), OpenListeningSocket(address, IntOf(options, "backlog", kBacklogMax)));
  } catch (const std::system_error& error) {
    throw SystemError(info.Env(), error);
  } catch (const std::invalid_argument& error) {
    throw Napi::TypeError::New(info.Env(), error.what());
  }
}

Napi::Value DescriptorCopy(const Napi::CallbackInfo& info) {
  const Napi::Object options = ObjectOf(info[0], "options");
  try {
    return Napi::Number::New(info.Env(),
                             CopyDescriptor(IntOf(options, "pid", INT32_MAX), IntOf(options, "fd", INT32_MAX)));
  } catch (const std::system_error& error) {
    throw SystemError(info.Env(), error);
  }
}

}  // namespace interleave::binding
