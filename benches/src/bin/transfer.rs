//! Measures an import and an export of a running server: `transfer [--documents N] [--abort] [http://127.0.0.1:8080]`.
//!
//! It registers an account of its own, sends N documents of about 300 bytes as one chunked body, reads them back, and
//! prints documents and bytes in a second. 50 000 documents unless said; `--documents 1000000` is a million.

use std::{process::ExitCode, time::Instant};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, BufWriter},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// How many documents go in one chunk.
const CHUNK: u64 = 100;

#[derive(Debug)]
struct Options {
    documents: u64,
    abort: bool,
    address: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let options = options()?;
    let stamp = std::process::id();
    let account =
        json!({"email": format!("transfer-{stamp}@example.org"), "password": "seven quiet harbours"}).to_string();
    let head =
        format!("POST /auth/register HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}", account.len());
    let (mut reader, mut writer) = open(&options.address, &head, None).await?;
    writer.write_all(account.as_bytes()).await?;
    writer.flush().await?;
    let answer: Value = serde_json::from_slice(&body(&mut reader).await?)?;
    let token = answer.get("access_token").and_then(Value::as_str).ok_or("no account was made")?.to_owned();

    let collection = format!("transfer{stamp}");
    let began = Instant::now();
    let (report, sent) = import(&options, &collection, &token).await?;
    print("import", options.documents, sent, began);
    println!("{report}");
    let began = Instant::now();
    let (lines, read) = export(&options, &collection, &token).await?;
    print("export", lines, read, began);
    if lines == options.documents { Ok(()) } else { Err(format!("{lines} documents came back").into()) }
}

fn options() -> Result<Options> {
    let mut options = Options { documents: 50_000, abort: false, address: "127.0.0.1:8080".to_owned() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--documents" => options.documents = arguments.next().ok_or("--documents takes a number")?.parse()?,
            "--abort" => options.abort = true,
            url => options.address = url.trim_start_matches("http://").trim_end_matches('/').to_owned(),
        }
    }
    Ok(options)
}

async fn open(
    address: &str,
    head: &str,
    token: Option<&str>,
) -> Result<(BufReader<OwnedReadHalf>, BufWriter<OwnedWriteHalf>)> {
    let (reader, writer) = TcpStream::connect(address).await?.into_split();
    let mut writer = BufWriter::with_capacity(64 * 1024, writer);
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    writer.write_all(format!("{head}\r\nHost: {address}\r\nConnection: close\r\n{token}\r\n").as_bytes()).await?;
    Ok((BufReader::with_capacity(64 * 1024, reader), writer))
}

/// Sends the documents and answers the report, and how many bytes went.
async fn import(options: &Options, collection: &str, token: &str) -> Result<(String, u64)> {
    let how = if options.abort { "abort" } else { "report" };
    let head = format!(
        "POST /db/{collection}/_import?on_error={how} HTTP/1.1\r\nContent-Type: application/x-ndjson\r\n\
         Transfer-Encoding: chunked"
    );
    let (mut reader, mut writer) = open(&options.address, &head, Some(token)).await?;
    let mut sent = 0;
    let mut first = 0;
    while first < options.documents {
        let next = (first + CHUNK).min(options.documents);
        let piece: String = (first..next).map(line).collect();
        writer.write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).await?;
        sent += piece.len() as u64;
        first = next;
    }
    writer.write_all(b"0\r\n\r\n").await?;
    writer.flush().await?;
    Ok((String::from_utf8(body(&mut reader).await?)?, sent))
}

/// Reads the documents; answers how many, and how many bytes.
async fn export(options: &Options, collection: &str, token: &str) -> Result<(u64, u64)> {
    let head = format!("GET /db/{collection}/_export HTTP/1.1");
    let (mut reader, mut writer) = open(&options.address, &head, Some(token)).await?;
    writer.flush().await?;
    let (mut lines, mut bytes) = (0, 0);
    read(&mut reader, |piece| {
        lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        bytes += piece.len() as u64;
    })
    .await?;
    Ok((lines, bytes))
}

fn line(n: u64) -> String {
    let text = "tea and biscuits ".repeat(14);
    format!("{}\n", json!({"id": format!("d{n:08}"), "n": n, "title": format!("number {n}"), "text": text}))
}

async fn body(reader: &mut BufReader<OwnedReadHalf>) -> Result<Vec<u8>> {
    let mut whole = Vec::new();
    read(reader, |piece| whole.extend_from_slice(piece)).await?;
    Ok(whole)
}

/// Reads an answer, chunked or with a length, piece by piece.
async fn read(reader: &mut BufReader<OwnedReadHalf>, mut piece: impl FnMut(&[u8])) -> Result<()> {
    let (mut status, mut length, mut chunked) = (String::new(), 0, false);
    reader.read_line(&mut status).await?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).await?;
        let header = header.trim().to_ascii_lowercase();
        match header.split_once(':') {
            None => break,
            Some(("content-length", value)) => length = value.trim().parse()?,
            Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
            Some(_) => {}
        }
    }
    if !status.contains(" 200 ") && !status.contains(" 201 ") {
        return Err(format!("the server answered {}", status.trim()).into());
    }
    let mut buffer = Vec::new();
    loop {
        if chunked {
            let mut size = String::new();
            reader.read_line(&mut size).await?;
            length = usize::from_str_radix(size.trim(), 16)?;
        }
        buffer.resize(length, 0);
        reader.read_exact(&mut buffer).await?;
        piece(&buffer);
        if !chunked || length == 0 {
            return Ok(());
        }
        reader.read_line(&mut String::new()).await?;
    }
}

fn print(what: &str, documents: u64, bytes: u64, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "rates for people")]
    let (documents_a_second, megabytes) = (documents as f64 / seconds, bytes as f64 / 1e6 / seconds);
    println!("{what}: {documents} documents in {seconds:.1} s, {documents_a_second:.0} a second, {megabytes:.1} MB/s");
}
