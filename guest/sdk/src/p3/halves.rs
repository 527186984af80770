//! What has a reader and a writer is both.

/// Implements the traits of the two halves, `reader` and `writer`, for what has them.
macro_rules! delegate {
    ($whole:ty) => {
        impl ::futures_io::AsyncRead for $whole {
            fn poll_read(
                mut self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                into: &mut [u8],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                ::std::pin::Pin::new(&mut self.reader).poll_read(cx, into)
            }
        }

        impl ::futures_io::AsyncBufRead for $whole {
            fn poll_fill_buf(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<&[u8]>> {
                ::std::pin::Pin::new(&mut self.get_mut().reader).poll_fill_buf(cx)
            }

            fn consume(mut self: ::std::pin::Pin<&mut Self>, count: usize) {
                ::std::pin::Pin::new(&mut self.reader).consume(count);
            }
        }

        impl ::futures_io::AsyncWrite for $whole {
            fn poll_write(
                mut self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                bytes: &[u8],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                ::std::pin::Pin::new(&mut self.writer).poll_write(cx, bytes)
            }

            fn poll_flush(
                mut self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                ::std::pin::Pin::new(&mut self.writer).poll_flush(cx)
            }

            fn poll_close(
                mut self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                ::std::pin::Pin::new(&mut self.writer).poll_close(cx)
            }
        }
    };
}

pub(super) use delegate;
