# BLITZIO_BUNDLE: what the extension uses of the C++ library is linked into it, and nothing but its
# initialisation is visible. So it runs where that library is older than the compiler's, and the
# pages of the rest of it are not mapped (docs/design/release-build.md). Where the static library is
# not installed the shared one serves.
include(CheckCXXSourceCompiles)
set(BLITZIO_BUNDLE_FLAGS -static-libstdc++ -Wl,--gc-sections
                         -Wl,--version-script=${PROJECT_SOURCE_DIR}/src/python/exports.map)
set(CMAKE_REQUIRED_LINK_OPTIONS ${BLITZIO_BUNDLE_FLAGS} -shared)
set(CMAKE_REQUIRED_FLAGS -fPIC)
check_cxx_source_compiles(
  "#include <stdexcept>
   extern \"C\" void PyInit__native() { throw std::runtime_error(\"linked\"); }"
  BLITZIO_CAN_BUNDLE)
unset(CMAKE_REQUIRED_LINK_OPTIONS)
unset(CMAKE_REQUIRED_FLAGS)
